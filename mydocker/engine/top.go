package engine

import (
	"errors"
	"fmt"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/security"

	api "github.com/moby/moby/api/types/container"
	"golang.org/x/sys/unix"
)

// Top lists a container's processes as the host's ps(1) shows them with the given
// options, none for -ef. The options are a language of ps's own, so it is ps that
// is run; the container's processes are chosen from its output.
func (e *Engine) Top(ref string, options []string) (api.TopResponse, error) {
	var top api.TopResponse
	id, err := e.find(ref)
	if err != nil {
		return top, err
	}
	c, err := e.look(id)
	if err != nil {
		return top, err
	}
	if c.State.Status == api.StateRestarting {
		return top, fmt.Errorf("Container %s is restarting, wait until the container is running", id)
	}
	if !running(c.State) {
		return top, &NotRunningError{id}
	}
	group, err := cgroup.Open(c.CgroupPath(e.config.Instance))
	if err != nil {
		return top, err
	}
	pids, err := group.Pids()
	if err != nil {
		return top, err
	}
	if len(options) == 0 {
		options = []string{"-ef"}
	}
	// Of itself ps may show nothing but the caller's own processes. Some options (f) it does
	// not take beside -q, as in Docker.
	text := make([]string, len(pids))
	for i, pid := range pids {
		text[i] = strconv.Itoa(pid)
	}
	output, err := exec.Command("ps", append(slices.Clip(options), "-q"+strings.Join(text, ","))...).Output()
	if err != nil {
		output, err = exec.Command("ps", options...).Output()
	}
	failed := (*exec.ExitError)(nil)
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return top, errors.New("top: there is no program ps on this host; install procps")
	case errors.As(err, &failed) && len(failed.Stderr) > 0:
		first, _, _ := strings.Cut(string(failed.Stderr), "\n")
		return top, fmt.Errorf("ps: %s", first)
	case err != nil:
		return top, fmt.Errorf("ps: %w", err)
	}
	top, err = parsePS(string(output), pids)
	nameUsers(top, c.UserNamespace.IDRange)
	return top, err
}

// nameUsers names a process's user as without a user namespace: ps knows what it is outside,
// a number of which its column shows a part.
func nameUsers(top api.TopResponse, ids security.IDRange) {
	pid := slices.Index(top.Titles, "PID")
	for i, title := range top.Titles {
		for _, row := range top.Processes {
			var st unix.Stat_t
			if (title != "UID" && title != "USER") || i >= len(row) || unix.Stat("/proc/"+row[pid], &st) != nil || st.Uid-ids.First >= ids.Size {
				continue
			}
			row[i] = strconv.Itoa(int(st.Uid - ids.First))
			if known, err := user.LookupId(row[i]); err == nil {
				row[i] = known.Username
			}
		}
	}
}

// parsePS takes ps's table apart and keeps the rows of the given processes, and the
// rows with "-" for the threads (ps -m) below them.
func parsePS(output string, pids []int) (api.TopResponse, error) {
	lines := strings.Split(strings.TrimSuffix(output, "\n"), "\n")
	top := api.TopResponse{Titles: strings.Fields(lines[0])}
	column := slices.Index(top.Titles, "PID")
	if column < 0 {
		return top, errors.New("Couldn't find PID field in ps output")
	}
	ours := false
	for _, line := range lines[1:] {
		fields := strings.Fields(line)
		if len(fields) <= column {
			continue
		}
		if fields[column] != "-" {
			pid, err := strconv.Atoi(fields[column])
			if err != nil {
				return top, fmt.Errorf("Unexpected pid '%s': %w", fields[column], err)
			}
			ours = slices.Contains(pids, pid)
		}
		if ours { // the last column, a command line, has blanks of its own
			last := min(len(fields), len(top.Titles)) - 1
			top.Processes = append(top.Processes, append(fields[:last:last], strings.Join(fields[last:], " ")))
		}
	}
	return top, nil
}
