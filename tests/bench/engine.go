package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// engine is a program that runs containers. All but runc have docker's command
// line.
type engine struct {
	name  string
	argv  []string // the program and its global flags
	env   []string // beside the caller's
	flags []string // of run and create: what makes the engines do the same
	// bundle is runc's, which has no images: a root file system without overlay,
	// without a seccomp filter. "" for the others.
	bundle  string
	daemon  *daemon // started for this run, or nil
	running string  // a container for exec
	peak    float64 // of memory in bytes, the most that one of its command lines has taken; samples reset it
	still   bool    // it runs nothing on this host: only what needs no process is measured
}

const image = "mydocker-bench-busybox"

// findEngines prepares mydocker and what else is installed: an image each, and a
// container to execute in. The list is to be removed also after an error.
func findEngines(ctx context.Context, dir string, others *regexp.Regexp) (list []*engine, err error) {
	binary, busybox := os.Getenv("MYDOCKER_BIN"), os.Getenv("MYDOCKER_ROOTFS_BUSYBOX")
	if binary == "" || busybox == "" || os.Getenv("MYDOCKER_ROOTFS_DEBIAN") == "" {
		return nil, errors.New("MYDOCKER_BIN, MYDOCKER_ROOTFS_BUSYBOX or MYDOCKER_ROOTFS_DEBIAN is not set: make bench")
	}
	none := []string{"--network", "none"}
	all := []*engine{{name: "mydocker", argv: []string{binary}, flags: none,
		env: []string{"MYDOCKER_ROOT=" + dir + "/root", "MYDOCKER_RUN_ROOT=" + dir + "/run", "MYDOCKER_INSTANCE=mydocker-bench"}}}
	for name, e := range map[string]*engine{
		// Logs rotated as mydocker's are.
		"docker": {argv: []string{"docker"}, flags: append(slices.Clone(none), "--log-driver", "json-file", "--log-opt", "max-size=10m", "--log-opt", "max-file=3")},
		// Its default limits cannot be set where CAP_SYS_RESOURCE is missing.
		"podman": {argv: []string{"podman", "--root", dir + "/podman", "--runroot", dir + "/podman-run"}, flags: append(slices.Clone(none), "--ulimit", "host", "--log-driver", "k8s-file")},
		"runc":   {argv: []string{"runc", "--root", dir + "/runc"}, bundle: dir + "/bundle"},
	} {
		if _, err := exec.LookPath(name); err == nil && others.MatchString(name) {
			e.name = name
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all[1:], func(a, b *engine) int { return strings.Compare(a.name, b.name) })
	for _, e := range all {
		list = append(list, e)
		if err := e.prepare(ctx, dir, busybox); err != nil {
			if e.name == "mydocker" || ctx.Err() != nil {
				return list, fmt.Errorf("prepare %s: %w", e.name, err)
			}
			fmt.Fprintf(os.Stderr, "without %s: %v\n", e.name, err)
			list = list[:len(list)-1]
			e.remove()
		}
	}
	return list, nil
}

func (e *engine) prepare(ctx context.Context, dir, busybox string) (err error) {
	switch {
	case e.bundle != "":
		err = e.makeBundle(busybox)
	case e.name == "docker":
		e.daemon, err = needDaemon(ctx, e, dir+"/docker")
	}
	if err == nil && e.bundle == "" {
		err = e.do("import", busybox, image)
	}
	if err == nil {
		err = e.do(e.runArgs("true")...)
		if err != nil && e.name == "podman" {
			fmt.Fprintln(os.Stderr, "podman only with what needs no process:", err)
			e.still = true
			return nil
		}
	}
	if err == nil {
		e.running = "mydocker-bench-exec"
		err = e.do(e.detachedArgs(e.running)...)
	}
	return err
}

func (e *engine) makeBundle(busybox string) error {
	if err := os.MkdirAll(e.bundle+"/rootfs", 0o755); err != nil {
		return err
	}
	if out, err := exec.Command("tar", "-C", e.bundle+"/rootfs", "-xf", busybox).CombinedOutput(); err != nil {
		return fmt.Errorf("tar: %w: %s", err, out)
	}
	cmd := exec.Command("runc", "spec")
	cmd.Dir = e.bundle
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("runc spec: %w: %s", err, out)
	}
	text, err := os.ReadFile(e.bundle + "/config.json")
	if err != nil {
		return err
	}
	for name, args := range map[string][]string{"true": {"true"}, "sleep": {"sleep", "100000"}} {
		var spec map[string]any
		if err := json.Unmarshal(text, &spec); err != nil {
			return err
		}
		process := spec["process"].(map[string]any)
		process["terminal"], process["args"] = false, args
		delete(process, "rlimits") // which may be more than this process has
		spec["root"] = map[string]any{"path": e.bundle + "/rootfs"}
		changed, err := json.Marshal(spec)
		if err == nil {
			err = os.MkdirAll(filepath.Join(e.bundle, name), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(e.bundle, name, "config.json"), changed, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// runArgs runs a command in a container that is then removed; of runc's, which
// has a bundle for it, the command is true.
func (e *engine) runArgs(command ...string) []string {
	if e.bundle != "" {
		return []string{"run", "--bundle", e.bundle + "/true", "mydocker-bench-run"}
	}
	return slices.Concat([]string{"run", "--rm"}, e.flags, []string{image}, command)
}

func (e *engine) detachedArgs(name string) []string {
	if e.bundle != "" {
		return []string{"run", "-d", "--bundle", e.bundle + "/sleep", name}
	}
	return append(e.detached(name), "sleep", "100000")
}

// detached is detachedArgs without the command, for those that have images.
func (e *engine) detached(name string) []string {
	return slices.Concat([]string{"run", "-d", "--name", name}, e.flags, []string{image})
}

func (e *engine) createArgs(name string) []string {
	return slices.Concat([]string{"create", "--name", name}, e.flags, []string{image, "true"})
}

// do runs a command line of the engine.
func (e *engine) do(args ...string) error { return e.output(io.Discard, args...) }

func (e *engine) output(to io.Writer, args ...string) error {
	cmd := exec.Command(e.argv[0], append(slices.Clone(e.argv[1:]), args...)...)
	cmd.Env = append(os.Environ(), e.env...)
	cmd.Stdout = to
	// A file and not a pipe: runc's container inherits it, and who waits for the
	// end of a pipe would wait for the container.
	stderr, err := os.CreateTemp("", "mydocker-bench-")
	if err != nil {
		return err
	}
	defer stderr.Close()
	os.Remove(stderr.Name())
	cmd.Stderr = stderr
	if to == io.Discard {
		cmd.Stdout = nil
	}
	err = cmd.Run()
	if cmd.ProcessState != nil {
		e.peak = max(e.peak, 1024*float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss))
	}
	if err != nil {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", stderr.Fd()))
		return fmt.Errorf("%s %s: %w: %s", e.name, strings.Join(args, " "), err, bytes.TrimSpace(text))
	}
	return nil
}

// containers lists the engine's containers of this benchmark.
func (e *engine) containers() []string {
	var out bytes.Buffer
	e.output(&out, "ps", "-aq", "--filter", "name=mydocker-bench-")
	return strings.Fields(out.String())
}

// remove takes away what the benchmark has made, also after an interrupt.
func (e *engine) remove() (err error) {
	if e.bundle != "" {
		return e.do("delete", "-f", "mydocker-bench-exec")
	}
	if ids := e.containers(); len(ids) > 0 {
		err = e.do(append([]string{"rm", "-f"}, ids...)...)
	}
	e.do("network", "rm", networkName) // perhaps it is not there
	var committed bytes.Buffer
	e.output(&committed, "images", "-q", commitImage)
	if ids := strings.Fields(committed.String()); len(ids) > 0 {
		err = errors.Join(err, e.do(append([]string{"rmi"}, ids...)...))
	}
	for _, name := range []string{image, loadImage, bigImage, deepImage} {
		e.do("rmi", name) // perhaps it is not there
	}
	if e.name == "mydocker" {
		err = errors.Join(err, e.do("network", "prune", "-f"), e.do("system", "check", "--repair"))
	}
	if e.daemon != nil {
		err = errors.Join(err, e.daemon.stop())
	}
	return err
}
