package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/system"

	"minidocker/mydocker/engine"
)

type usageOptions struct {
	listing
	verbose bool
}

func (o *usageOptions) command(s *session) *command {
	return &command{
		Usage: "Show disk usage", ArgsUsage: "[OPTIONS]",
		Description: `mydocker system df --format 'table {{.Type}}\t{{.Size}}'`,
		Flags:       flags("", o.formatFlag(), boolean(&o.verbose, "v,verbose", "Show detailed information on space usage")),
		Action: s.action(func(e *engine.Engine, _ []string) error {
			usage, err := e.DiskUsage()
			switch {
			case err != nil:
				return err
			case o.verbose:
				return o.writeDetails(os.Stdout, usage)
			}
			return o.write(os.Stdout, usage)
		}),
	}
}

// usageRow is a line of system df, with the fields of its --format.
type usageRow struct{ Active, Reclaimable, Size, TotalCount, Type string }

func (o *usageOptions) write(w io.Writer, u system.DiskUsage) error {
	row := func(what string, total, active, size, reclaimable int64) usageRow {
		free := units.HumanSize(float64(reclaimable))
		if size > 0 {
			free += fmt.Sprintf(" (%d%%)", reclaimable*100/size)
		}
		return usageRow{fmt.Sprint(active), free, units.HumanSize(float64(size)), fmt.Sprint(total), what}
	}
	i, c, v := u.ImageUsage, u.ContainerUsage, u.VolumeUsage
	return writeList(w, &o.listing, `{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}`, titles{
		"Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE", "Reclaimable": "RECLAIMABLE",
	}, []usageRow{
		row("Images", i.TotalCount, i.ActiveCount, i.TotalSize, i.Reclaimable),
		row("Containers", c.TotalCount, c.ActiveCount, c.TotalSize, c.Reclaimable),
		row("Local Volumes", v.TotalCount, v.ActiveCount, v.TotalSize, v.Reclaimable),
		row("Build Cache", 0, 0, 0, 0), // there is none yet
	})
}

// writeDetails is -v: a table of each kind, or one object for the user's template.
func (o *usageOptions) writeDetails(w io.Writer, u system.DiskUsage) error {
	images, containers := u.ImageUsage.Items, u.ContainerUsage.Items
	all := struct {
		Images     []imageRow
		Containers []containerRow
		Volumes    []volumeRow
		BuildCache []struct{}
	}{[]imageRow{}, []containerRow{}, []volumeRow{}, []struct{}{}}
	for n := range u.VolumeUsage.Items {
		all.Volumes = append(all.Volumes, newVolumeRow(&u.VolumeUsage.Items[n]))
	}
	for n := range images { // each once, by its first name
		i := &images[n]
		i.RepoTags, i.RepoDigests = i.RepoTags[:min(1, len(i.RepoTags))], nil
		all.Images = append(all.Images, imageRows(*i, false, false)...)
	}
	for n := range containers {
		containers[n].SizeRootFs = 0 // is not shown
		all.Containers = append(all.Containers, newContainerRow(containers[n], false))
	}
	if o.format != "" && o.format != "table" {
		t, err := parseTemplate(o.format)
		if err != nil {
			return err
		}
		return printTemplate(w, t, all)
	}
	fmt.Fprint(w, "Images space usage:\n\n")
	i := imagesOptions{listing: listing{format: `table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}`}}
	err := i.write(w, images)
	fmt.Fprint(w, "\nContainers space usage:\n\n")
	c := psOptions{listing: listing{format: `table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}`}}
	err = errors.Join(err, c.write(w, containers))
	fmt.Fprint(w, "\nLocal Volumes space usage:\n\n")
	v := listing{format: `table {{.Name}}\t{{.Links}}\t{{.Size}}`}
	err = errors.Join(err, writeList(w, &v, "", volumeTitles, all.Volumes))
	fmt.Fprint(w, "\nBuild cache usage: 0B\n\nCACHE ID   CACHE TYPE   SIZE      CREATED   LAST USED   USAGE     SHARED\n")
	return err
}
