package runtime

import (
	"fmt"
	"os"

	"minidocker/mydocker/trace"

	"golang.org/x/sys/unix"
)

// moveSync takes init's end of the pair of sockets out of the numbers that the
// process's own descriptors will have, as it has to tell of an execve that fails.
func moveSync(sync channel, p *payload) (channel, error) {
	if p.Preserved == 0 {
		return sync, nil
	}
	fd, err := unix.FcntlInt(sync.file.Fd(), unix.F_DUPFD_CLOEXEC, givenFD+len(p.Given)+p.Preserved)
	if err != nil {
		return sync, fmt.Errorf("move the sync socket: %w", err)
	}
	return channel{os.NewFile(uintptr(fd), "sync")}, nil
}

// preserve gives the process its descriptors from 3 on. They are the last of those init
// was born with, so going up, none is overwritten before it has been moved.
func preserve(p *payload) error {
	if p.Preserved > 0 {
		trace.Stop() // its descriptor's number may be one of theirs
	}
	for i := range p.Preserved {
		if err := unix.Dup3(givenFD+len(p.Given)+i, 3+i, 0); err != nil {
			return fmt.Errorf("pass descriptor %d: %w", 3+i, err)
		}
	}
	return nil
}
