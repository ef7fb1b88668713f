package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// shown is a container as state and list print it, with runc's names in runc's order.
type shown struct {
	Version     string               `json:"ociVersion"`
	ID          string               `json:"id"`
	Pid         int                  `json:"pid"`
	Status      specs.ContainerState `json:"status"`
	Bundle      string               `json:"bundle"`
	Rootfs      string               `json:"rootfs"`
	Created     time.Time            `json:"created"`
	Annotations map[string]string    `json:"annotations,omitempty"`
	Owner       string               `json:"owner"` // of the directory; only in list
}

func (c *container) show() (shown, error) {
	v, err := c.look()
	defer v.close()
	s := shown{Version: c.Version, ID: c.ID, Status: v.status, Bundle: c.Bundle, Rootfs: c.Rootfs, Created: c.Created, Annotations: c.Annotations}
	if v.process != nil {
		s.Pid = c.Pid
	}
	return s, err
}

// state is what a hook is told.
func (c *container) state(status specs.ContainerState) specs.State {
	s := c.State
	if s.Status = status; status == specs.StateStopped {
		s.Pid = 0
	}
	return s
}

func (h *host) state(_ *cli.Context, id string) error {
	c, err := h.load(id)
	if err != nil {
		return err
	}
	s, err := c.show()
	data, err2 := json.MarshalIndent(s, "", "  ")
	if err = errors.Join(err, err2); err == nil {
		_, err = os.Stdout.Write(data)
	}
	return err
}

// list reads all containers; one that is being made or deleted is none.
func (h *host) list(c *cli.Context, _ string) error {
	var list []shown
	entries, err := os.ReadDir(h.root)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		c, err := h.load(entry.Name())
		if errors.Is(err, errNotExist) || !entry.IsDir() {
			continue
		}
		var s shown
		if err == nil {
			s, err = c.show()
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "load container %s: %v\n", entry.Name(), err)
			continue
		}
		s.Owner = owner(c.dir)
		list = append(list, s)
	}
	return printList(os.Stdout, list, c.String("format"), c.Bool("quiet"))
}

func owner(dir string) string {
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil {
		return ""
	}
	if u, err := user.LookupId(fmt.Sprint(st.Uid)); err == nil {
		return u.Username
	}
	return fmt.Sprintf("#%d", st.Uid)
}

func printList(out io.Writer, list []shown, format string, quiet bool) error {
	if quiet {
		for _, s := range list {
			fmt.Fprintln(out, s.ID)
		}
		return nil
	}
	switch format {
	case "json":
		return json.NewEncoder(out).Encode(list)
	case "table":
		table := tabwriter.NewWriter(out, 12, 1, 3, ' ', 0)
		fmt.Fprint(table, "ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER\n")
		for _, s := range list {
			fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\t%s\n", s.ID, s.Pid, s.Status, s.Bundle, s.Created.Format(time.RFC3339Nano), s.Owner)
		}
		return table.Flush()
	}
	return errors.New("invalid format option")
}

func (h *host) ps(ctx *cli.Context, id string) error {
	format, args := ctx.String("format"), ctx.Args().Tail()
	c, err := h.load(id)
	if err != nil {
		return err
	}
	group, err := c.group()
	if err != nil {
		return err
	}
	pids, err := group.Pids()
	switch {
	case err != nil:
		return err
	case format == "json":
		return json.NewEncoder(os.Stdout).Encode(pids)
	case format != "table":
		return errors.New("invalid format option")
	case len(args) == 0:
		args = []string{"-ef"}
	}
	table, err := exec.Command("ps", args...).Output()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		return fmt.Errorf("%w: %s", err, failed.Stderr)
	}
	if err != nil {
		return err
	}
	lines, err := linesOf(string(table), pids)
	fmt.Print(lines)
	return err
}

// linesOf gives the heading of a table of ps(1) and the lines of these processes.
func linesOf(table string, pids []int) (string, error) {
	column, selected := -1, ""
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if column < 0 {
			if column = slices.Index(fields, "PID"); column < 0 {
				return "", errors.New("couldn't find PID field in ps output")
			}
			selected = line
			continue
		}
		if column >= len(fields) {
			continue
		}
		pid, err := strconv.Atoi(fields[column])
		if err != nil {
			return "", fmt.Errorf("unable to parse pid %q of ps output", fields[column])
		}
		if slices.Contains(pids, pid) {
			selected += line
		}
	}
	return selected, nil
}
