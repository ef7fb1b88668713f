package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Run runs a block in a fresh directory, by one bash from top to bottom, and sees to it
// that nothing of it is left. The error wraps ErrCannot if this machine lacks what the
// block needs.
func (s *Setups) Run(b Block) (o Outcome, err error) {
	dir, err := os.MkdirTemp(s.dir, "")
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, remove(dir)) }()
	for _, name := range []string{"work", "bin", "out"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			return o, err
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil { // as a directory of the reader's is
		return o, err
	}
	// What a reader types with sudo, root types here, and sudo may not be installed.
	if err := os.WriteFile(filepath.Join(dir, "bin/sudo"), []byte("#!/bin/sh\nexec env -- \"$@\"\n"), 0o755); err != nil {
		return o, err
	}
	for _, name := range b.Setup {
		if err := s.provide(name, dir); err != nil {
			return o, fmt.Errorf("setup %s: %w", name, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "script"), []byte(b.script(dir)), 0o644); err != nil {
		return o, err
	}
	if o.Findings, err = supervised(dir, s.limit, slices.Contains(b.Setup, "mydocker")); err != nil {
		return o, err
	}
	statuses, _ := os.ReadFile(filepath.Join(dir, "status"))
	for status := range strings.FieldsSeq(string(statuses)) {
		number, _ := strconv.Atoi(status)
		o.Status = append(o.Status, number)
	}
	for i := range b.Commands {
		data := readStart(filepath.Join(dir, "out", strconv.Itoa(i)))
		o.Output = append(o.Output, asSeen(data, i < len(o.Status) && o.Status[i] > 128))
	}
	return o, nil
}

// readStart reads a file as far as anybody would print it.
func readStart(name string) string {
	file, err := os.Open(name)
	if err != nil {
		return "" // the command was not reached
	}
	defer file.Close()
	data, _ := io.ReadAll(io.LimitReader(file, 64<<10))
	return string(data)
}

// script has the shell write the output of each command into a file of its own, where
// that of a command in the background stays with its command.
func (b Block) script(dir string) string {
	var script strings.Builder
	script.WriteString("set -m; book_status=0\n") // -m, as at a terminal: a command in the background does not ignore SIGINT
	for i, c := range b.Commands {
		fmt.Fprintf(&script, "exec >>%s/out/%d 2>&1\n", dir, i)
		fmt.Fprintf(&script, "(exit $book_status)\n") // for a command that looks at $?
		fmt.Fprintf(&script, "eval '%s'\n", strings.ReplaceAll(c.Text, "'", `'\''`))
		fmt.Fprintf(&script, "book_status=$?; echo $book_status >>%s/status\n", dir)
	}
	return script.String()
}

// supervised runs this program once more as the supervisor of a block.
func supervised(dir string, limit time.Duration, ownNetwork bool) (findings []string, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "supervise", dir, limit.String())
	cmd.Env = environment(dir)
	// Unshareflags, other than Cloneflags, makes all mounts private before anything else is done.
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGTERM}
	if ownNetwork { // the devices that mydocker makes, by the names it has for every reader, go with it
		cmd.SysProcAttr.Unshareflags |= syscall.CLONE_NEWNET
	}
	runtime.LockOSThread() // whose end would be the signal
	defer runtime.UnlockOSThread()
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return nil, fmt.Errorf("supervisor: %w\n%s", err, exit.Stderr)
	} else if err != nil {
		return nil, err
	}
	return findings, json.Unmarshal(out, &findings)
}

// environment is a reader's, not that of whoever runs the tests.
func environment(dir string) []string {
	env := []string{"PATH=" + dir + "/bin:" + os.Getenv("PATH") + ":/usr/sbin:/sbin", "HOME=" + os.Getenv("HOME"), "USER=root", "LC_ALL=C.UTF-8", "TERM=dumb", "CGO_ENABLED=0",
		"MYDOCKER_ROOT=" + dir + "/mydocker", "MYDOCKER_RUN_ROOT=" + dir + "/run"}
	for _, variable := range os.Environ() {
		if strings.HasPrefix(variable, "GO") {
			env = append(env, variable)
		}
	}
	return env
}

var (
	notice = regexp.MustCompile(`^\[\d+\][-+]? +(Done|Exit|Terminated|Killed|Interrupt|Hangup|Quit|Stopped)\b`)
	killed = regexp.MustCompile(`^bash: +(?:line \d+: +)?\d+ (\S.*?) {2,}.*$`)
	where  = regexp.MustCompile(`^bash: (?:eval: )?line \d+: `)
)

// asSeen makes of what a shell prints into a file what it prints at a terminal: no
// number of a line before its errors; of a command that was killed just how. Notices about
// commands in the background, which come when they like, are left out.
func asSeen(output string, wasKilled bool) []string {
	lines := split(strings.ReplaceAll(output, "\r\n", "\n"))
	lines = slices.DeleteFunc(lines, func(line string) bool {
		return notice.MatchString(line) || !wasKilled && killed.MatchString(line)
	})
	for i, line := range lines {
		lines[i] = where.ReplaceAllString(killed.ReplaceAllString(line, "$1"), "bash: ")
	}
	return lines
}
