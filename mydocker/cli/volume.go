package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/volume"

	"minidocker/mydocker/engine"
)

type volumesOptions struct {
	listing
	engine.Filters
}

func (o *volumesOptions) command(s *session) *command {
	return &command{
		Usage: "List volumes", ArgsUsage: "[OPTIONS]",
		Description: "mydocker volume ls --filter dangling=true --format '{{.Name}} {{.Mountpoint}}'",
		Flags:       flags("cluster", filters(&o.Filters), o.formatFlag(), boolean(&o.quiet, "q,quiet", "Only display volume names")),
		Action: s.action(func(e *engine.Engine, _ []string) error {
			found, err := e.Volumes(o.Filters)
			if err != nil {
				return err
			}
			return o.write(os.Stdout, found)
		}),
	}
}

// volumeRow is a volume in a list: the fields of volume ls --format,
// https://docs.docker.com/reference/cli/docker/volume/ls/#format.
type volumeRow struct {
	Availability, Driver, Group, Labels, Links, Mountpoint, Name, Scope, Size, Status string

	labels map[string]string
}

func (r volumeRow) Label(key string) string { return r.labels[key] }

// newVolumeRow has what volume ls shows; only system df knows links and size.
func newVolumeRow(v *volume.Volume) volumeRow {
	row := volumeRow{
		Name: v.Name, Driver: v.Driver, Scope: v.Scope, Mountpoint: v.Mountpoint, Labels: strings.Join(assignments(v.Labels), ","), labels: v.Labels,
		Availability: "N/A", Group: "N/A", Links: "N/A", Size: "N/A", Status: "N/A",
	}
	if u := v.UsageData; u != nil {
		row.Links, row.Size = fmt.Sprint(u.RefCount), units.HumanSize(float64(u.Size))
	}
	return row
}

var volumeTitles = titles{
	"Name": "VOLUME NAME", "Driver": "DRIVER", "Scope": "SCOPE", "Mountpoint": "MOUNTPOINT", "Labels": "LABELS", "Links": "LINKS",
	"Size": "SIZE", "Availability": "AVAILABILITY", "Group": "GROUP", "Status": "STATUS",
}

func (o *volumesOptions) write(w io.Writer, found []*volume.Volume) error {
	slices.SortFunc(found, func(a, b *volume.Volume) int { return byName(a.Name, b.Name) })
	rows := make([]volumeRow, len(found))
	for i, v := range found {
		rows[i] = newVolumeRow(v)
	}
	if o.quiet && (o.format == "" || o.format == "table") {
		o.format = "{{.Name}}"
	}
	return writeList(w, &o.listing, `{{.Driver}}\t{{.Name}}`, volumeTitles, rows)
}

func volumeCreateCommand(s *session) *command {
	var r volume.CreateRequest
	return &command{
		Usage: "Create a volume", ArgsUsage: "[OPTIONS] [VOLUME]",
		Description: "mydocker volume create --label app=db data",
		Flags: flags("availability group limit-bytes required-bytes scope secret sharing topology-preferred topology-required type",
			text(&r.Driver, "d,driver", "Specify volume driver name").or("local"),
			pairs(&r.Labels, "=", "label", "Set metadata for a volume"),
			text(&r.Name, "name", ""),
			pairs(&r.DriverOpts, "=", "o,opt", "Set driver specific options: type, device and o, as of mount(8)"),
		),
		Action: s.action(func(e *engine.Engine, args []string) error {
			if len(args) > 0 {
				if r.Name != "" {
					return exit(1, "conflicting options: cannot specify a volume-name through both --name and as a positional arg")
				}
				r.Name = args[0]
			}
			v, err := e.CreateVolume(r)
			if err == nil {
				fmt.Println(v.Name)
			}
			return err
		}),
	}
}

func volumeRmCommand(s *session) *command {
	force := false
	return &command{
		Usage: "Remove one or more volumes. You cannot remove a volume that is in use by a container.", ArgsUsage: "[OPTIONS] VOLUME [VOLUME...]",
		Description: "mydocker volume rm data",
		Flags:       flags("", boolean(&force, "f,force", "Force the removal of one or more volumes")),
		Action: s.action(each(func(e *engine.Engine, name string) (string, error) {
			return name, e.RemoveVolume(name, force)
		})),
	}
}
