package spec

import (
	"errors"
	"fmt"
	"os"

	"github.com/moby/moby/api/types/mount"
)

// PrepareSource makes sure that what a bind mount shows exists. With
// BindOptions.CreateMountpoint, which -v sets, a missing source becomes a
// directory of root's; otherwise it is an error in Docker's words.
func PrepareSource(m mount.Mount) error {
	_, err := os.Stat(m.Source)
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, os.ErrNotExist):
		return MountError(m, err)
	case m.BindOptions == nil || !m.BindOptions.CreateMountpoint:
		return MountError(m, fmt.Errorf("bind source path does not exist: %s", m.Source))
	}
	if err := os.MkdirAll(m.Source, 0o755); err != nil {
		return fmt.Errorf("error while creating mount source path '%s': %w", m.Source, err)
	}
	return nil
}
