package rootfs

import "minidocker/labs/check"

const (
	stage = "chapters/02-rootfs/main.go"
	pivot = "mydocker/rootfs/pivot.go"
)

var mutants = []check.Mutant{
	{
		Name: "chroots-only", File: stage, // as first/main.go does
		Old: `	root, err := rootfs.Attach(nil, o.Rootfs, "/")
	if err != nil {
		return err
	}
	defer root.Close()
	if err := rootfs.MountAll(root, mounts, make([]*rootfs.Source, len(mounts)), nil); err != nil {
		return err
	}
	if err := rootfs.MakeDevices(root, rootfs.DefaultDevices()); err != nil {
		return err
	}
	if err := rootfs.MakeLinks(root); err != nil {
		return err
	}
	if err := rootfs.Pivot(root); err != nil {
`,
		New: `	root, err := rootfs.Attach(nil, o.Rootfs, o.Rootfs)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := rootfs.MountAll(root, mounts, make([]*rootfs.Source, len(mounts)), nil); err != nil {
		return err
	}
	if err := rootfs.MakeDevices(root, rootfs.DefaultDevices()); err != nil {
		return err
	}
	if err := rootfs.MakeLinks(root); err != nil {
		return err
	}
	if err := rootfs.ChangeRoot(root); err != nil {
`,
		Fails: "chroot-escape", May: []string{"host-gone", "missing-rootfs"},
	},
	{
		Name: "covers-the-host", File: stage, // a mount over /, and chroot(2) into it
		Old: "rootfs.Pivot(root)", New: "rootfs.ChangeRoot(root)",
		Fails: "host-gone", May: []string{"chroot-escape"},
	},
	{
		Name: "keeps-the-old-root", File: pivot,
		Old:   `if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {`,
		New:   `if err := error(nil); err != nil {`,
		Fails: "host-gone", May: []string{"chroot-escape", "command"}, // which finds /usr/bin by ".."
	},
	{
		Name: "stays-in-the-old-root", File: pivot, // working directory
		Old: `		return fmt.Errorf("unmount the old root: %w", err)
	}
	return unix.Chdir("/")`,
		New: `		return fmt.Errorf("unmount the old root: %w", err)
	}
	return nil`,
		Fails: "root", May: []string{"host-gone", "chroot-escape", "propagation", "proc-and-sys", "dev", "read-only", "command", "again"},
	},
	{
		Name: "mounts-while-shared", File: stage,
		Old:   `if err := rootfs.Isolate("rprivate"); err != nil { // before the first mount, see chapter 1`,
		New:   `if err := unix.Mount("proc", o.Rootfs+"/proc", "proc", 0, ""); err != nil {`,
		Fails: "propagation", May: []string{"again", "leftovers"},
	},
	{
		Name: "shows-the-hosts-proc", File: stage,
		Old:   `{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},`,
		New:   `{Destination: "/proc", Type: "bind", Source: "/proc", Options: []string{"rbind"}},`,
		Fails: "proc-and-sys", May: []string{"host-gone"},
	},
	{
		Name: "obeys-the-umask", File: "mydocker/rootfs/device.go",
		Old:   `if err := unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", node.Fd()), uint32(permissions)); err != nil {`,
		New:   `if err := error(nil); err != nil {`,
		Fails: "dev", May: []string{"read-only"},
	},
	{
		Name: "forgets-read-only", File: stage,
		Old: `rootfs.Seal(root, o.ReadOnly, "rprivate")`, New: `rootfs.Seal(root, false, "rprivate")`,
		Fails: "read-only",
	},
	{
		Name: "looks-up-on-the-host", File: stage,
		Old: `	if o.Command = flags.Args(); len(o.Command) == 0 {
		return o, errors.New("run: no command")
	}
`,
		New: `	if o.Command = flags.Args(); len(o.Command) == 0 {
		return o, errors.New("run: no command")
	}
	if path, err := exec.LookPath(o.Command[0]); err == nil {
		o.Command[0] = path
	}
`,
		Fails: "command",
	},
	{
		Name: "leaves-a-place-for-the-old-root", File: stage,
		Old:   `if err := rootfs.Pivot(root); err != nil {`,
		New:   `if err := errors.Join(os.MkdirAll(o.Rootfs+"/.old", 0o700), rootfs.Pivot(root)); err != nil {`,
		Fails: "again",
	},
}
