package escape

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// host is an engine with the image busybox, for all ways that are tried with one binary.
type host struct {
	binary, dir string
	env         []string
}

var hosts atomic.Int32

func newHost(t *testing.T, binary string) (*host, error) {
	dir, err := os.MkdirTemp("/var/tmp", "mydocker-escape-") // not /tmp: no overlay on tmpfs
	if err != nil {
		return nil, err
	}
	os.Chmod(dir, 0o711) // as /var/lib is
	instance := fmt.Sprintf("esc%d-%d", hosts.Add(1), os.Getpid()%100000)
	h := &host{binary: binary, dir: dir, env: append(os.Environ(), "MYDOCKER_ROOT="+dir+"/root", "MYDOCKER_RUN_ROOT="+dir+"/run", "MYDOCKER_INSTANCE="+instance)}
	t.Cleanup(func() {
		s := &scene{T: t, host: h}
		if ids := strings.Fields(s.ok("ps", "-aq")); len(ids) > 0 {
			t.Errorf("containers are left: %v", ids)
			s.ok(append([]string{"rm", "-f"}, ids...)...)
		}
		s.run("volume", "prune", "-af")
		s.ok("network", "prune", "-f") // the default one too, and its bridge
		s.eventually("nothing is left", func() bool { return s.run("system", "check", "--repair").code == 0 })
		os.RemoveAll(dir)
	})
	cmd := exec.Command(binary, "import", "-c", `CMD ["sh"]`, os.Getenv("MYDOCKER_ROOTFS_BUSYBOX"), "busybox")
	cmd.Env = h.env
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("import busybox: %w: %s", err, out)
	}
	return h, nil
}

// scene is where one way is tried with one binary.
type scene struct {
	*testing.T
	*host
	dir       string // of the test's own, on the host
	unguarded bool
	flags     []string // of every run
}

var scenes atomic.Int32

func newScene(t *testing.T, h *host, flags []string, unguarded bool) *scene {
	t.Helper()
	s := &scene{T: t, host: h, flags: flags, unguarded: unguarded, dir: fmt.Sprintf("%s/scene%d", h.dir, scenes.Add(1))}
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return s
}

// tries counts what needs luck: n times where nothing may happen, and where it must, which it
// does in one of some tries, longer than it takes.
func (s *scene) tries(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		end := time.Now().Add(time.Minute)
		for i := 0; (i < n || s.unguarded && time.Now().Before(end)) && yield(i); i++ {
		}
	}
}

// mkdir makes a directory of the scene.
func (s *scene) mkdir(name string) string {
	s.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		s.Fatal(err)
	}
	return path
}

// write makes a file of the scene.
func (s *scene) write(name, text string) string {
	s.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.Fatal(err)
	}
	return path
}

func (s *scene) symlink(target, name string) string {
	s.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.Symlink(target, path); err != nil {
		s.Fatal(err)
	}
	return path
}

func (s *scene) read(path string) string {
	s.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		s.Fatal(err)
	}
	return string(data)
}

// result is what a command line did.
type result struct {
	args     []string
	out, err string
	code     int
}

func (r result) String() string {
	return fmt.Sprintf("mydocker %s: exit %d\nstdout: %s\nstderr: %s", strings.Join(r.args, " "), r.code, r.out, r.err)
}

func (s *scene) command(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	s.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, s.binary, args...)
	cmd.Env, cmd.WaitDelay = s.env, 5*time.Second
	return cmd
}

func (s *scene) run(args ...string) result {
	s.Helper()
	return s.finish(s.command(args...))
}

func (s *scene) finish(cmd *exec.Cmd) result {
	s.Helper()
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	r := result{cmd.Args[1:], out.String(), stderr.String(), cmd.ProcessState.ExitCode()}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.Fatalf("%s: %v", r, err)
	}
	return r
}

func (s *scene) ok(args ...string) string {
	s.Helper()
	r := s.run(args...)
	if r.code != 0 {
		s.Fatalf("must succeed: %s", r)
	}
	return strings.TrimSpace(r.out)
}

func (s *scene) eventually(what string, condition func() bool) {
	s.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.Fatalf("never: %s", what)
		}
	}
}

// line is the command line that runs an attack in a container of image, under flags.
func (s *scene) line(verb, image string, flags []string, attack ...string) []string {
	self, err := os.Executable()
	if err != nil {
		s.Fatal(err)
	}
	line := append([]string{verb}, s.flags...)
	line = append(append(line, flags...), "-v", self+":/attack:ro", image, "/attack", "attack")
	return append(line, attack...)
}

// attack runs an attack in a container of its own and gives its verdict.
func (s *scene) attack(flags []string, attack ...string) string {
	s.Helper()
	return s.verdict(s.run(s.line("run", "busybox", append([]string{"--rm"}, flags...), attack...)...))
}

// verdict is how the attack got out; "" if it says that it did not.
func (s *scene) verdict(r result) string {
	s.Helper()
	for line := range strings.Lines(r.out) {
		if how, ok := strings.CutPrefix(strings.TrimSpace(line), "OUT "); ok {
			return how
		}
	}
	if !strings.Contains(r.out, "HELD") {
		s.Fatalf("the attack came to no end: %s", r)
	}
	if s.unguarded {
		s.Log(r)
	}
	return ""
}

// begin starts an attack that goes on beside others, and waits until it is up. It
// is removed at the scene's end.
func (s *scene) begin(flags []string, attack ...string) (id string) {
	s.Helper()
	id = s.ok(s.line("create", "busybox", flags, attack...)...)
	s.Cleanup(func() { s.ok("rm", "-f", id) })
	s.ok("start", id)
	s.eventually(fmt.Sprint(attack, " is up"), func() bool { return strings.Contains(s.ok("logs", id), "up") })
	return id
}

// image imports busybox with more entries, and removes it at the scene's end.
func (s *scene) image(entries ...tar.Header) string {
	s.Helper()
	base, err := os.Open(os.Getenv("MYDOCKER_ROOTFS_BUSYBOX"))
	if err != nil {
		s.Fatal(err)
	}
	defer base.Close()
	var data bytes.Buffer
	from, to := tar.NewReader(base), tar.NewWriter(&data)
	replaced := func(name string) bool {
		for _, e := range entries {
			if path := strings.TrimPrefix(strings.TrimSuffix(name, "/"), "./"); path == e.Name || strings.HasPrefix(path, e.Name+"/") {
				return true
			}
		}
		return false
	}
	for {
		header, err := from.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			s.Fatal(err)
		}
		if replaced(header.Name) {
			continue
		}
		if err := errors.Join(to.WriteHeader(header), copyAll(to, from)); err != nil {
			s.Fatal(err)
		}
	}
	for _, e := range entries {
		text := e.PAXRecords["text"]
		e.PAXRecords, e.Size, e.Mode = nil, int64(len(text)), 0o755
		if err := errors.Join(to.WriteHeader(&e), copyAll(to, strings.NewReader(text))); err != nil {
			s.Fatal(err)
		}
	}
	if err := to.Close(); err != nil {
		s.Fatal(err)
	}
	name := filepath.Base(s.dir)
	cmd := s.command("import", "-", name)
	cmd.Stdin = &data
	if r := s.finish(cmd); r.code != 0 {
		s.Fatal(r)
	}
	s.Cleanup(func() { s.ok("rmi", "-f", name) })
	return name
}

func copyAll(to io.Writer, from io.Reader) error {
	_, err := io.Copy(to, from)
	return err
}

// link and script are entries of an image.
func link(name, target string) tar.Header {
	return tar.Header{Name: name, Linkname: target, Typeflag: tar.TypeSymlink}
}

func script(name, text string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeReg, PAXRecords: map[string]string{"text": text}}
}
