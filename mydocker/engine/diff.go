package engine

import (
	"errors"
	"os"
	"slices"

	"minidocker/mydocker/overlay"
)

// Changes lists what a container, running or not, has changed of its image.
func (e *Engine) Changes(ref string) ([]overlay.Change, error) {
	id, err := e.find(ref)
	if err != nil {
		return nil, err
	}
	record, err := e.containers.Record(id)
	if err != nil {
		return nil, err
	}
	upper, path, err := e.openUpper(record)
	if errors.Is(err, os.ErrNotExist) { // it was never started
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer upper.Close()
	return overlay.Changes(path, e.containers.Layers(record).Lower, isMountPoint)
}

// isMountPoint tells where init makes a mount point that an image may lack. Those
// that a user's mounts need are changes, as in Docker.
func isMountPoint(path string) bool {
	return slices.Contains([]string{"/dev", "/dev/pts", "/dev/shm", "/dev/console", "/proc", "/sys",
		"/etc", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"}, path)
}
