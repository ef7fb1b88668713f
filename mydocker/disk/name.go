package disk

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"strings"
)

// NewID gives a name that nothing else has: 64 hex digits, of random.
func NewID() string {
	var b [32]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// IsName tells whether an object and its file may be called name, by Docker's rule
// ([a-zA-Z0-9][a-zA-Z0-9_.-]+) and with the 255 characters that a file's name can have.
func IsName(name string) bool {
	const first = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	return len(name) > 1 && len(name) < 256 && strings.Contains(first, name[:1]) && strings.Trim(name, first+"_.-") == ""
}

// List names the entries of a directory, in no order; one that does not exist has none.
func List(path string) ([]string, error) {
	dir, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Readdirnames(-1)
}

// RemoveLast deletes the directory at path with all that is in it, the file last at the
// end: the lock by which others see that its remover lives.
func RemoveLast(path, last string) error {
	names, err := List(path)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name != last {
			if err := RemoveAll(path + "/" + name); err != nil {
				return err
			}
		}
	}
	return RemoveAll(path)
}
