package runtime

import (
	"bufio"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// environment is what the command gets: of a variable that is named twice the last,
// and HOME if it is not set, by the container's /etc/passwd, as runc has it. passwd is
// called only then; an error of it means that there is no such file.
func environment(process *specs.Process, passwd func() (io.ReadCloser, error)) []string {
	var clean []string
	home := false
	for i, variable := range process.Env {
		name, value, _ := strings.Cut(variable, "=")
		again := slices.ContainsFunc(process.Env[i+1:], func(later string) bool { return strings.HasPrefix(later, name+"=") })
		if again || name == "HOME" && value == "" {
			continue
		}
		home = home || name == "HOME"
		clean = append(clean, variable)
	}
	if home {
		return clean
	}
	dir := "/"
	if file, err := passwd(); err == nil {
		defer file.Close()
		dir = homeOf(file, process.User.UID)
	}
	return append(clean, "HOME="+dir)
}

// homeOf looks a user's directory up in a passwd(5) file.
func homeOf(passwd io.Reader, uid uint32) string {
	lines := bufio.NewScanner(passwd)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) > 5 && fields[2] == strconv.FormatUint(uint64(uid), 10) && fields[5] != "" {
			return fields[5]
		}
	}
	return "/"
}
