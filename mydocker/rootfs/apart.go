package rootfs

import (
	"fmt"
	"os"

	"minidocker/mydocker/namespace"

	"golang.org/x/sys/unix"
)

// Apart attaches a detached mount in a mount namespace that nobody else sees, and gives
// what choose finds in it, with all that is mounted below, as a detached mount again. What
// is attached nowhere can neither be copied in parts (open_tree(2): EINVAL) nor mounted on.
func Apart(mount *os.File, choose func(root *os.File) (*os.File, error)) (chosen *os.File, err error) {
	err = namespace.OnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("unshare mount namespace: %w", err)
		}
		if err := Isolate("rprivate"); err != nil {
			return err
		}
		root, err := Attach(mount, "", "/")
		if err != nil {
			return err
		}
		defer root.Close()
		at, err := choose(root)
		if err != nil {
			return err
		}
		defer at.Close()
		fd, err := unix.OpenTree(int(at.Fd()), "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE)
		if err != nil {
			return fmt.Errorf("open_tree: %w", err)
		}
		chosen = os.NewFile(uintptr(fd), at.Name())
		return nil
	})
	return chosen, err
}
