package runtime

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// lookPath finds the command as execvp(3) does, in the PATH the process itself
// will have: 127 if there is no such file, 126 if it may not be executed.
func lookPath(process *specs.Process) (string, error) {
	name := process.Args[0]
	var denied error
	for _, path := range candidates(process) {
		err := executable(name, path)
		if err == nil {
			return path, nil
		}
		var e *Error
		if strings.Contains(name, "/") || errors.As(err, &e) && e.Code == 126 {
			denied = err
		}
	}
	if denied != nil {
		return "", denied
	}
	return "", notInPath(name)
}

func notInPath(name string) error {
	return &Error{fmt.Sprintf("exec: %q: executable file not found in $PATH", name), 127}
}

// candidates are the paths the command may have, in order.
func candidates(process *specs.Process) []string {
	name := process.Args[0]
	if strings.Contains(name, "/") {
		return []string{name}
	}
	var paths []string
	for _, dir := range filepath.SplitList(searchPath(process.Env)) {
		if dir == "" {
			dir = "."
		}
		paths = append(paths, dir+"/"+name)
	}
	return paths
}

func searchPath(env []string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(env[i], "PATH="); ok {
			return value
		}
	}
	return ""
}

func executable(name, path string) error {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return execError(name, fmt.Errorf("stat %s: %w", path, err))
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return &Error{fmt.Sprintf("exec: %q: is a directory", name), 126}
	}
	// Effective, not real IDs: access(2) would ask for the wrong ones.
	if err := unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS); err != nil {
		return execError(name, err)
	}
	return nil
}

// execError gives an error of execve(2) the exit code a shell would give it.
func execError(name string, err error) error {
	code := 126
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		code = 127
	}
	return &Error{fmt.Sprintf("exec: %q: %v", name, err), code}
}
