package attach

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"syscall"
)

// Output goes over a connection in the frames of Docker's attach (Engine API,
// "Attach to a container", stream format): one byte for the stream, three zero,
// four for the length, then the data.
const (
	Stdout byte = 1
	Stderr byte = 2
	end    byte = 3 // no data: all there was has been sent

	headerSize = 8
)

func header(stream byte, size int) (h [headerSize]byte) {
	h[0] = stream
	binary.BigEndian.PutUint32(h[4:], uint32(size))
	return h
}

// Copy writes the frames of r to stdout and stderr until the container's
// streams end. An end without notice is ErrLost.
func Copy(r io.Reader, stdout, stderr io.Writer) error {
	var h [headerSize]byte
	buffer := make([]byte, 64<<10)
	for {
		if _, err := io.ReadFull(r, h[:]); err != nil {
			return unexpected(err)
		}
		size := int(binary.BigEndian.Uint32(h[4:]))
		var w io.Writer
		switch h[0] {
		case Stdout:
			w = stdout
		case Stderr:
			w = stderr
		case end:
			return nil
		default:
			return fmt.Errorf("output of unknown stream %d", h[0])
		}
		for size > 0 {
			n, err := io.ReadFull(r, buffer[:min(size, len(buffer))])
			if err != nil {
				return unexpected(err)
			}
			if _, err := w.Write(buffer[:n]); err != nil {
				return err
			}
			size -= n
		}
	}
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return ErrLost
	}
	return err
}
