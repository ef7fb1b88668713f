package namespace

import (
	"fmt"
	"os"

	"minidocker/mydocker/trace"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Enter moves the calling thread into the namespaces that have a path, so that
// the process it clones next is born in them. The caller runs on a
// thread of its own, see OnThread.
func Enter(namespaces []specs.LinuxNamespace) error {
	for _, ns := range namespaces {
		if ns.Path == "" {
			continue
		}
		if err := enter(ns); err != nil {
			return fmt.Errorf("join %s namespace %s: %w", ns.Type, ns.Path, err)
		}
	}
	return nil
}

func enter(ns specs.LinuxNamespace) error {
	file, err := os.Open(ns.Path)
	if err != nil {
		return err
	}
	defer file.Close()
	if ns.Type == specs.MountNamespace {
		// A mount namespace cannot be changed while the working directory and
		// root are shared with the other threads (setns(2): EINVAL).
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return err
		}
	}
	trace.Step("setns", "%s %s", ns.Type, ns.Path)
	return unix.Setns(int(file.Fd()), int(flagOf(ns.Type)))
}
