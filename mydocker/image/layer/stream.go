package layer

import (
	"crypto/sha256"
	"hash"
	"io"

	"github.com/opencontainers/go-digest"
)

const (
	chunkSize  = 1 << 20
	chunkCount = 4
)

// stream reads ahead and hashes what it reads. Decompression and hashing run in
// a goroutine of their own, beside the system calls that make files: with two
// processors a layer takes the time of the slower, not the sum.
type stream struct {
	full  chan chunk
	empty chan []byte
	quit  chan struct{}
	sum   hash.Hash

	current chunk
	rest    []byte
	ended   bool // the reader has been told io.EOF
}

type chunk struct {
	data []byte
	err  error // what follows the data
}

func newStream(r io.Reader) *stream {
	s := &stream{
		full:  make(chan chunk, chunkCount),
		empty: make(chan []byte, chunkCount),
		quit:  make(chan struct{}),
		sum:   sha256.New(),
	}
	for range chunkCount {
		s.empty <- make([]byte, chunkSize)
	}
	go s.fill(r)
	return s
}

func (s *stream) fill(r io.Reader) {
	defer close(s.full)
	for {
		var buffer []byte
		select {
		case <-s.quit:
			return
		case buffer = <-s.empty:
		}
		n := 0
		var err error
		for n < len(buffer) && err == nil {
			var m int
			m, err = r.Read(buffer[n:])
			n += m
		}
		s.sum.Write(buffer[:n])
		s.full <- chunk{buffer[:n], err} // never blocks: there are chunkCount buffers
		if err != nil {
			return
		}
	}
}

func (s *stream) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		if s.current.err != nil {
			s.ended = s.current.err == io.EOF
			return 0, s.current.err
		}
		if s.current.data != nil {
			s.empty <- s.current.data[:chunkSize]
		}
		s.current = <-s.full
		s.rest = s.current.data
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// stop waits until the goroutine has let go of its source.
func (s *stream) stop() {
	close(s.quit)
	for range s.full {
	}
}

// digest is the SHA-256 of everything, once Read has returned io.EOF.
func (s *stream) digest() digest.Digest { return digest.NewDigest(digest.SHA256, s.sum) }
