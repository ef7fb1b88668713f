package cli

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	api "github.com/moby/moby/api/types/container"

	"minidocker/mydocker/engine"
)

type psOptions struct {
	listing
	engine.ListOptions
	latest bool
}

func (o *psOptions) command(s *session) *command {
	return &command{
		Usage: "List containers", ArgsUsage: "[OPTIONS]",
		Description: `mydocker ps -a --filter status=exited --format 'table {{.Names}}\t{{.Status}}'`,
		Flags: o.flags("", &o.Filters,
			boolean(&o.All, "a,all", "Show all containers (default shows just running)"),
			integer(&o.Last, "n,last", "Show n last created containers (includes all states)").or("-1"),
			boolean(&o.latest, "l,latest", "Show the latest created container (includes all states)"),
			boolean(&o.Size, "s,size", "Display total file sizes"),
		),
		Action: s.action(func(e *engine.Engine, _ []string) error {
			if o.quiet && o.format != "" {
				fmt.Fprintln(os.Stderr, "WARNING: Ignoring custom format, because both --format and --quiet are set.")
				o.format = "" // in all other lists it wins
			}
			found, err := e.List(o.request())
			if err != nil {
				return err
			}
			return o.write(os.Stdout, found)
		}),
	}
}

// request asks for sizes only if they are shown: they take a walk through each
// container's files.
func (o *psOptions) request() engine.ListOptions {
	r := o.ListOptions
	if o.latest && r.Last < 0 {
		r.Last = 1
	}
	r.Last = max(r.Last, 0)
	r.Size = !o.quiet && (o.Size || strings.Contains(o.format, ".Size") || strings.Contains(o.format, "json .}"))
	return r
}

func (o *psOptions) write(w io.Writer, found []api.Summary) error {
	columns := `{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}`
	if o.Size {
		columns += `\t{{.Size}}`
	}
	rows := make([]containerRow, len(found))
	for i, c := range found {
		rows[i] = newContainerRow(c, !o.noTrunc)
	}
	return writeList(w, &o.listing, columns, titles{
		"ID": "CONTAINER ID", "Names": "NAMES", "Image": "IMAGE", "Command": "COMMAND",
		"CreatedAt": "CREATED AT", "RunningFor": "CREATED", "Ports": "PORTS", "State": "STATE",
		"Status": "STATUS", "Size": "SIZE", "Labels": "LABELS", "Mounts": "MOUNTS",
		"LocalVolumes": "LOCAL VOLUMES", "Networks": "NETWORKS", "Platform": "PLATFORM",
	}, rows)
}

// containerRow is a container in a list: the fields of ps --format,
// https://docs.docker.com/reference/cli/docker/container/ls/#format.
type containerRow struct {
	Command, CreatedAt, ID, Image, Labels, LocalVolumes, Mounts, Names, Networks string
	Platform                                                                     *string // of another architecture: there are none here
	Ports, RunningFor, Size, State, Status                                       string

	labels map[string]string
}

func (r containerRow) Label(key string) string { return r.labels[key] }

func newContainerRow(c api.Summary, short bool) containerRow {
	commandWidth, mountWidth := math.MaxInt, math.MaxInt
	if short {
		commandWidth, mountWidth = 20, 15
	}
	row := containerRow{
		ID: c.ID, Image: cmp.Or(c.Image, "<no image>"), Command: strconv.Quote(truncate(c.Command, commandWidth)),
		CreatedAt: time.Unix(c.Created, 0).String(), RunningFor: ago(c.Created),
		State: string(c.State), Status: c.Status, Names: strings.TrimPrefix(strings.Join(c.Names, ","), "/"),
		Size:   units.HumanSizeWithPrecision(float64(c.SizeRw), 3),
		Labels: strings.Join(assignments(c.Labels), ","), labels: c.Labels,
	}
	if short {
		row.ID = shortID(c.ID)
		if row.Image, _, _ = strings.Cut(row.Image, "@"); strings.HasPrefix(row.Image, "sha256:") {
			row.Image = shortID(row.Image)
		}
	}
	row.Ports = shownPorts(c.Ports)
	if c.SizeRootFs > 0 {
		row.Size += " (virtual " + units.HumanSizeWithPrecision(float64(c.SizeRootFs), 3) + ")"
	}
	if c.NetworkSettings != nil {
		row.Networks = strings.Join(slices.Sorted(maps.Keys(c.NetworkSettings.Networks)), ",")
	}
	var mounts []string
	volumes := 0
	for _, m := range c.Mounts {
		mounts = append(mounts, truncate(cmp.Or(m.Name, m.Source), mountWidth))
		if m.Driver == "local" {
			volumes++
		}
	}
	row.Mounts, row.LocalVolumes = strings.Join(mounts, ","), strconv.Itoa(volumes)
	return row
}

func ago(unix int64) string {
	return units.HumanDuration(time.Since(time.Unix(unix, 0))) + " ago"
}
