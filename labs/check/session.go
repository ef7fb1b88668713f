package check

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// session is one run of the checker: its marker, which everything it makes carries, and
// a directory of that name, locked as long as the checker lives.
type session struct {
	marker string
	dir    string
	lock   *os.File
}

// Directory is where the checker works: on a disk, since root file systems are made there.
func Directory() string {
	if dir := os.Getenv("MYDOCKER_LABS_DIR"); dir != "" {
		return dir
	}
	return "/var/tmp/mydocker-labs"
}

func newSession() (*session, error) {
	random := make([]byte, 6)
	rand.Read(random)
	s := &session{marker: "labs" + hex.EncodeToString(random)}
	s.dir = filepath.Join(Directory(), s.marker)
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(s.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	s.lock = lock
	return s, nil
}
