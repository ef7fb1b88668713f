package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// privileged prepares for running transcripts, or skips the test.
func privileged(t *testing.T) *Setups {
	t.Helper()
	if os.Getenv("MYDOCKER_DISPOSABLE") == "1" && os.Geteuid() != 0 {
		t.Fatal("MYDOCKER_DISPOSABLE=1, but transcripts need root")
	}
	if why := mayRun(); why != "" {
		t.Skip(why)
	}
	s, err := NewSetups("../..")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestRunGood runs a transcript with all that the runner has to get right.
func TestRunGood(t *testing.T) {
	s := privileged(t)
	d, err := ReadDocument(".", "testdata/transcripts.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range d.Fences {
		b, err := ParseBlock(f)
		if err != nil {
			t.Fatal(err)
		}
		outcome, err := s.Run(b)
		if err != nil {
			t.Fatal(err)
		}
		report(t, b.Compare(d.Path, outcome))
	}
}

// TestRunLeftovers: what a block leaves is a finding, and gone.
func TestRunLeftovers(t *testing.T) {
	s := privileged(t)
	s.limit = time.Second
	group := "book-test"
	cgroup := filepath.Join("/sys/fs/cgroup", group)
	if cgroupVersion() == 1 {
		cgroup = filepath.Join("/sys/fs/cgroup/pids", group)
	}
	t.Cleanup(func() { os.Remove(cgroup) })
	for name, c := range map[string]struct{ commands, want string }{
		"nothing":    {"$ sleep 0.1 &", ""},
		"process":    {"$ sleep 7654 &", "left a process running: "},
		"daemon":     {"$ (setsid sh -c 'sleep 7654; exit' &)", "left a process running: "},
		"deaf":       {"$ sh -c 'trap \"\" TERM INT HUP; while :; do sleep 7654; done' &", "left a process running: "},
		"container":  {"$ unshare --pid --fork --kill-child --mount-proc sleep 7654 &", "left a process running: "},
		"time":       {"$ sleep 7654", "did not end within 1s"},
		"mount":      {"$ mkdir m; mount -t tmpfs none m", "left a mount: umount "},
		"propagated": {"$ mkdir m; unshare --mount --propagation unchanged mount -t tmpfs none m", "left a mount: umount "},
		"cgroup":     {"$ mkdir " + cgroup, "left a cgroup: rmdir " + cgroup},
		"output":     {"$ yes", "prints more than"},
		"over proc":  {"$ mount -t tmpfs none /proc; sleep 7654 & sleep 0.1", "left a mount: umount /proc"},
	} {
		t.Run(name, func(t *testing.T) {
			outcome, err := s.Run(block(t, "```console run\n"+c.commands+"\n```\n"))
			if err != nil {
				t.Fatal(err)
			}
			if c.want == "" && len(outcome.Findings) > 0 || c.want != "" && !slices.ContainsFunc(outcome.Findings, func(f string) bool { return strings.HasPrefix(f, c.want) }) {
				t.Errorf("found %q, expected %q", outcome.Findings, c.want)
			}
			if out, err := exec.Command("pgrep", "-fx", "sleep 7654").Output(); err == nil {
				t.Errorf("is still there: process %s", out)
			}
			if info, _ := os.ReadFile("/proc/self/mountinfo"); strings.Contains(string(info), s.dir) {
				t.Errorf("a mount reached the machine:\n%s", info)
			}
		})
	}
}

// TestRecord records what is shown, once, and leaves what cannot run.
func TestRecord(t *testing.T) {
	s := privileged(t)
	top := madeUp(t)
	readme := filepath.Join(top, "chapters/01-one/README.md")
	replace(t, readme, "Linux\n```\n<!-- recorded 2026-11-21, Linux 6.18 -->\n", "old\n```\n\n```console show\n$ no-such-program\nas it was\n```\n\n```console show\n$ false\nas it was\n```\n\n```console show\n$ echo new\nby hand\n```\n<!-- recorded 2026-11-21, Linux 6.18 -->\n")
	b, err := OpenBook(top)
	if err != nil {
		t.Fatal(err)
	}
	problems, err := b.Record(b.Chapters[1], s)
	if err != nil {
		t.Fatal(err)
	}
	got := read(t, readme)
	for _, p := range problems {
		got += p.String() + "\n"
	}
	for _, want := range []string{
		"$ uname -s\nLinux\n```\n" + recording() + "\n", "$ no-such-program\nas it was\n```\n\n", "$ false\nas it was\n```\n\n", "$ echo new\nby hand\n```\n",
		"there is no program for: $ no-such-program", "$ false\nends with status 1", "is left as it was",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got[strings.Index(got, "## Try it"):])
		}
	}
}
