package container

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
)

// NewID returns an ID nobody has: 64 hex digits. Its first 12, the short form and
// default host name, are never all digits, because a host name that is a number
// breaks programs (as Docker has it).
func NewID() string {
	for {
		var b [32]byte
		rand.Read(b[:]) // never fails (crypto/rand)
		id := hex.EncodeToString(b[:])
		if strings.Trim(ShortID(id), "0123456789") != "" {
			return id
		}
	}
}

// ShortID is the form in which an ID is shown: its first 12 digits.
func ShortID(id string) string { return id[:min(12, len(id))] }

func isID(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// Strings, not slices: what is split only when a name is wanted costs a start nothing.
const (
	adjectives = `able agile amber bold brave bright brisk calm candid cheerful clever cosmic crisp curious
		daring deft eager earnest elastic fair fluent frank gentle glad golden graceful handy happy hardy
		honest humble jolly keen kind lively loyal lucid lucky mellow merry mild modest neat nimble noble
		patient placid plucky polite proud quick quiet rapid ready robust serene sharp silent sincere sleek
		smooth snappy solid steady stoic sunny swift tidy tranquil trusty upbeat vivid warm wise witty zesty`
	surnames = `abel almeida babbage banach bartik bernoulli bohr borg boole brahe cantor cerf church cori
		curie dahl darwin dijkstra dirac easley einstein engelbart erdos euclid euler faraday fermat fermi
		feynman floyd galois gauss germain goedel goldberg hamilton hamming heisenberg hertz hilbert hoare
		hopper huffman hypatia jacobi johnson kahn kepler khwarizmi kilby knuth lamarr lamport leibniz liskov
		lovelace mandelbrot maxwell mcnulty meitner mendel mirzakhani naur nash newton noether nygaard pascal
		perlman planck poincare postel ramanujan ritchie sammet shannon shen stallman tesla thompson torvalds
		tu turing wing wirth wozniak wu yang zuse`
)

// NewName proposes a name, an adjective and a scientist's surname. Nothing
// reserves it: on a NameInUseError ask again with attempt one higher, which adds
// a digit, so that a host with many containers finds free ones.
func NewName(attempt int) string {
	pick := func(words string) string {
		list := strings.Fields(words)
		return list[mathrand.IntN(len(list))]
	}
	name := pick(adjectives) + "_" + pick(surnames)
	if attempt > 0 {
		name += fmt.Sprint(mathrand.IntN(10 * attempt))
	}
	return name
}

// InvalidNameError reports a name no container can have.
type InvalidNameError struct{ Name string }

func (e *InvalidNameError) Error() string {
	return fmt.Sprintf("Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", e.Name)
}

// ValidName reports whether a container may be called name, by Docker's rule
// ([a-zA-Z0-9][a-zA-Z0-9_.-]+; two characters at least) and, because the name
// is a file's, with at most 255 characters. The error is an InvalidNameError.
func ValidName(name string) error {
	const first = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	if len(name) < 2 || len(name) > 255 || !strings.Contains(first, name[:1]) || strings.Trim(name, first+"_.-") != "" {
		return &InvalidNameError{name}
	}
	return nil
}
