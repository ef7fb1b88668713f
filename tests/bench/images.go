package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	bigImage    = "mydocker-bench-big:latest"
	deepImage   = "mydocker-bench-deep:latest"
	bigLayers   = 10
	bigImageMB  = 500
	deepLayers  = 60
	imageMemory = 200e6 // bytes
)

// imageMeasures are of images that move: 500 MB in 10 layers, and one of 60
// layers that runs.
func imageMeasures(dir string) []measure {
	big, deep := dir+"/big-image.tar", dir+"/deep-image.tar"
	r := &benchRegistry{dir: dir + "/registry"}
	prepared := func(e *engine) error {
		if err := writeLayered(big, bigImage, bigLayers, bigImageMB); err != nil {
			return err
		}
		return e.do("load", "-q", "-i", big)
	}
	removed := func(e *engine) error { return e.do("rmi", "-f", bigImage) }
	return slices.Concat(
		withMemory(measure{
			name: "pull, 500 MB", slow: true, skip: noImages, budgets: half,
			setup: func(e *engine) error {
				if err := prepared(e); err != nil {
					return err
				}
				err := r.start(func(name string) error { // the first engine, mydocker, fills it
					return errors.Join(e.do("tag", bigImage, name), e.do("push", "-q", name), e.do("rmi", name))
				})
				return errors.Join(err, removed(e))
			},
			sample: func(e *engine) (float64, error) {
				e.do("rmi", r.name()) // the first time it is not there
				unix.Sync()           // nobody pays for what another has written
				args := []string{"pull", "-q"}
				if e.name == "podman" {
					args = append(args, "--tls-verify=false")
				}
				return timed(func() error { return e.do(append(args, r.name())...) })
			},
			done: func(e *engine) error {
				r.stop()
				return e.do("rmi", r.name())
			},
		}),
		withMemory(measure{
			name: "load, 500 MB", slow: true, skip: noImages, budgets: half,
			setup: func(e *engine) error { return errors.Join(prepared(e), removed(e)) },
			sample: func(e *engine) (float64, error) {
				e.do("rmi", "-f", bigImage)
				unix.Sync()
				return timed(func() error { return e.do("load", "-q", "-i", big) })
			},
			done: removed,
		}),
		withMemory(measure{
			name: "save, 500 MB", slow: true, skip: noImages, budgets: half,
			setup: prepared,
			sample: func(e *engine) (float64, error) {
				saved := dir + "/saved-image.tar"
				defer os.Remove(saved)
				os.Remove(saved)
				unix.Sync()
				return timed(func() error { return e.do("save", "-o", saved, bigImage) })
			},
			done: removed,
		}),
		withMemory(measure{
			name: "run, 60 layers", skip: noService, budgets: half,
			setup: func(e *engine) error {
				if err := writeDeep(deep); err != nil {
					return err
				}
				return e.do("load", "-q", "-i", deep)
			},
			sample: func(e *engine) (float64, error) {
				return timed(func() error {
					return e.do(slices.Concat([]string{"run", "--rm"}, e.flags, []string{deepImage, "true"})...)
				})
			},
			done: func(e *engine) error { return e.do("rmi", "-f", deepImage) },
		}))
}

// withMemory is a measure, and after it the most memory that one of mydocker's
// commands has taken meanwhile, which is its maximum resident set, getrusage(2).
func withMemory(m measure) []measure {
	peak, sample := 0.0, m.sample
	m.sample = func(e *engine) (float64, error) {
		e.peak = 0
		seconds, err := sample(e)
		if e.name == "mydocker" {
			peak = max(peak, e.peak)
		}
		return seconds, err
	}
	return []measure{m, {
		name: m.name + ": memory", unit: "bytes", once: true, budgets: []budget{{"mydocker", imageMemory}},
		skip:   func(e *engine) bool { return e.name != "mydocker" },
		sample: func(*engine) (float64, error) { return peak, nil },
	}}
}

// benchRegistry is Debian's docker-registry on a port of loopback.
type benchRegistry struct {
	dir, address string
	cmd          *exec.Cmd
}

func (r *benchRegistry) name() string { return r.address + "/bench/big:latest" }

// start starts it, unless it runs, and lets fill push the image.
func (r *benchRegistry) start(fill func(name string) error) error {
	if r.cmd != nil {
		return nil
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	r.address = listener.Addr().String()
	listener.Close()
	config := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s/data}}\nhttp: {addr: %s, relativeurls: true}\n", r.dir, r.address)
	if err := errors.Join(os.MkdirAll(r.dir, 0o700), os.WriteFile(r.dir+"/config.yml", []byte(config), 0o600)); err != nil {
		return err
	}
	cmd := exec.Command("docker-registry", "serve", r.dir+"/config.yml")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL} // main's thread, which is locked
	if err := cmd.Start(); err != nil {
		return err
	}
	r.cmd = cmd
	for range 500 {
		if conn, err := net.Dial("tcp", r.address); err == nil {
			conn.Close()
			return fill(r.name())
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("docker-registry does not answer at %s", r.address)
}

func (r *benchRegistry) stop() {
	if r.cmd != nil {
		r.cmd.Process.Kill()
		r.cmd.Wait()
		r.cmd = nil
	}
}

// The first thread is the one that Pdeathsig waits for.
func init() { runtime.LockOSThread() }

// layer is a part of an image that writeImage asks for.
type layer func(w *tar.Writer) error

// writeLayered writes an image as `docker save` does. Its files are of 100 kB, and
// compress to about a third as programs do.
func writeLayered(path, name string, layers, megabytes int) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1)) // no engine has it yet
	all := make([]layer, layers)
	for i := range all {
		all[i] = func(w *tar.Writer) error {
			for k := range megabytes * 10 / layers {
				if err := addBytes(w, fmt.Sprintf("layer%d/%d", i, k), words(random, 100_000)); err != nil {
					return err
				}
			}
			return nil
		}
	}
	return writeImage(path, name, all)
}

// writeDeep writes an image of 60 layers, the lowest of them busybox.
func writeDeep(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	all := make([]layer, deepLayers)
	all[0] = func(w *tar.Writer) error {
		file, err := os.Open(os.Getenv("MYDOCKER_ROOTFS_BUSYBOX"))
		if err != nil {
			return err
		}
		defer file.Close()
		for r := tar.NewReader(file); ; {
			header, err := r.Next()
			if err == io.EOF {
				return nil
			}
			if err == nil {
				err = w.WriteHeader(header)
			}
			if err == nil {
				_, err = io.Copy(w, r)
			}
			if err != nil {
				return err
			}
		}
	}
	for i := range all[1:] {
		all[i+1] = func(w *tar.Writer) error { return addBytes(w, fmt.Sprint("layer", i), []byte(fmt.Sprint(i))) }
	}
	return writeImage(path, deepImage, all)
}

func add(w *tar.Writer, name string, size int64, from io.Reader) error {
	err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size, ModTime: time.Unix(1_000_000_000, 0)})
	if err == nil {
		_, err = io.Copy(w, from)
	}
	return err
}

func addBytes(w *tar.Writer, name string, data []byte) error {
	return add(w, name, int64(len(data)), bytes.NewReader(data))
}

// words are bytes that compress to about a third.
func words(random *rand.Rand, n int) []byte {
	data := make([]byte, 0, n+16)
	for len(data) < n {
		data = fmt.Appendf(data, "%x the same words\n", random.Uint64()>>(random.Uint64()%48))
	}
	return data[:n]
}

func writeImage(path, name string, layers []layer) (err error) {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	w := tar.NewWriter(out)
	var diffIDs, names []string
	for i, write := range layers {
		// Not in memory: a child's maximum resident set begins with that of the
		// process that starts it, as it is before its execve.
		plain, err := os.Create(path + ".layer")
		if err != nil {
			return err
		}
		defer plain.Close()
		os.Remove(plain.Name())
		hash := sha256.New()
		l := tar.NewWriter(io.MultiWriter(plain, hash))
		if err := errors.Join(write(l), l.Close()); err != nil {
			return err
		}
		size, err := plain.Seek(0, io.SeekCurrent)
		if err == nil {
			_, err = plain.Seek(0, io.SeekStart)
		}
		if err != nil {
			return err
		}
		diffIDs = append(diffIDs, fmt.Sprintf("sha256:%x", hash.Sum(nil)))
		names = append(names, fmt.Sprintf("layer%d.tar", i))
		if err := add(w, names[i], size, plain); err != nil {
			return err
		}
	}
	config, err := json.Marshal(map[string]any{"architecture": runtime.GOARCH, "os": "linux", "config": map[string]any{"Cmd": []string{"sh"}}, "rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs}})
	if err != nil {
		return err
	}
	configName := fmt.Sprintf("%x.json", sha256.Sum256(config))
	manifest, err := json.Marshal([]map[string]any{{"Config": configName, "RepoTags": []string{name}, "Layers": names}})
	if err != nil {
		return err
	}
	return errors.Join(addBytes(w, configName, config), addBytes(w, "manifest.json", manifest), w.Close())
}
