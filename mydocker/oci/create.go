package oci

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/disk"
	"minidocker/mydocker/runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// creation is a container in the making.
type creation struct {
	*container
	*host
	caller
	spec    *specs.Spec
	bundle  string
	cgroup  cgroup.Group
	process *runtime.Process
	lock    *disk.Lock
}

func (n *creation) flags() []cli.Flag {
	return append(n.caller.flags(),
		&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Usage: "directory of the bundle, by default the current", Destination: &n.bundle},
		on("no-pivot", "change the root by chroot: for a root on a ramdisk, from which pivot_root is impossible"),
		on("no-new-keyring", "let the container have the session keyring of the caller"))
}

func (n *creation) createAction(c *cli.Context, id string) error {
	if err := n.create(c, id); err != nil {
		return fmt.Errorf("%s create failed: %w", name, err)
	}
	return n.lock.Release()
}

// create makes the container and takes its process to where start lets it go. The
// lock is held on success.
func (n *creation) create(c *cli.Context, id string) (err error) {
	config, err := n.load()
	if err != nil {
		return err
	}
	dir, lock, err := n.make(id, config)
	if err != nil {
		return err
	}
	n.lock = lock
	n.container = &container{dir: dir, record: record{Created: time.Now().UTC(), Rootfs: n.spec.Root.Path,
		State: specs.State{Version: specs.Version, ID: id, Bundle: n.bundle, Annotations: n.spec.Annotations}}}
	defer func() {
		if err != nil {
			n.warn(n.destroy())
			n.lock.Release()
		}
	}()
	if err := n.prepareGroup(); err != nil {
		return err
	}
	if err := n.offerSocket(); err != nil {
		return err
	}
	options, err := n.options(n.spec.Process)
	if err != nil {
		return err
	}
	if !n.spec.Process.Terminal { // else they stay the caller's
		giveStreams(options.Stdio, n.spec)
	}
	options.State, options.Connect = n.State, n.recordProcess
	options.NoPivot, options.NoNewKeyring = c.Bool("no-pivot"), c.Bool("no-new-keyring")
	for _, warning := range runtime.Warnings(n.spec.Process) {
		n.warn(errors.New(warning))
	}
	if n.process, err = runtime.Create(n.spec, dir, n.cgroup, options); err != nil {
		return fmt.Errorf("unable to start container process: %w", err)
	}
	if err := n.hand(n.process); err != nil {
		return err
	}
	return n.publish()
}

// recordProcess is called when the process exists and waits.
func (n *creation) recordProcess(pid int) (err error) {
	n.Pid = pid
	if n.StartTime, err = startTime(pid); err != nil {
		return err
	}
	return n.save()
}

// load reads the bundle and checks it against the flags.
func (n *creation) load() (config []byte, err error) {
	if n.bundle, err = filepath.Abs(n.bundle); err != nil {
		return nil, err
	}
	if _, err := os.Stat(n.bundle); err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	config, err = os.ReadFile(filepath.Join(n.bundle, configFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, errors.New("JSON specification file config.json not found")
	}
	if err == nil {
		n.spec, err = runtime.Load(n.bundle)
	}
	if err == nil {
		err = n.check()
	}
	return config, err
}

func (n *creation) check() error {
	s := n.spec
	if s.Version != "" && !strings.HasPrefix(s.Version, "1.") {
		return fmt.Errorf("ociVersion %q of config.json is not supported: this runtime knows %s", s.Version, specs.Version)
	}
	if err := runtime.Validate(s, false); err != nil {
		return err
	}
	return n.caller.check(s.Process)
}

// destroy undoes a creation, and ends a container that ran in the foreground.
func (n *creation) destroy() error {
	if n.process != nil {
		if !n.process.Done() {
			n.process.Signal(unix.SIGKILL)
		}
		n.process.Wait()
		n.process.Close()
	}
	return n.remove(n.container, n.spec)
}
