package cli

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	imageapi "github.com/moby/moby/api/types/image"

	"minidocker/mydocker/engine"
	"minidocker/mydocker/image"
)

type imagesOptions struct {
	listing
	engine.ImagesOptions
	digests bool
}

func (o *imagesOptions) command(s *session) *command {
	return &command{
		Usage: "List images", ArgsUsage: "[OPTIONS] [REPOSITORY[:TAG]]",
		Description: `mydocker images --format '{{.Repository}}:{{.Tag}} {{.Size}}'`,
		Flags: o.flags("tree", &o.Filters,
			boolean(&o.All, "a,all", "Show all images (default hides intermediate images)"),
			boolean(&o.digests, "digests", "Show digests"),
		),
		Action: s.action(func(e *engine.Engine, args []string) error {
			o.Ref = strings.Join(args, "")
			found, err := e.Images(o.ImagesOptions)
			if err != nil {
				return err
			}
			return o.write(os.Stdout, found)
		}),
	}
}

func (o *imagesOptions) write(w io.Writer, found []imageapi.Summary) error {
	id := `{{.ID}}`
	if o.digests {
		id = `{{.Digest}}\t{{.ID}}`
	}
	var rows []imageRow
	showDigests := o.digests || strings.Contains(o.format, ".Digest")
	for _, i := range found {
		rows = append(rows, imageRows(i, !o.noTrunc, showDigests)...)
	}
	return writeList(w, &o.listing, `{{.Repository}}\t{{.Tag}}\t`+id+`\t{{.CreatedSince}}\t{{.Size}}`, titles{
		"ID": "IMAGE ID", "Repository": "REPOSITORY", "Tag": "TAG", "Digest": "DIGEST",
		"CreatedSince": "CREATED", "CreatedAt": "CREATED AT", "Size": "SIZE",
		"Containers": "CONTAINERS", "SharedSize": "SHARED SIZE", "UniqueSize": "UNIQUE SIZE",
	}, rows)
}

// imageRow is one name of an image in a list: the fields of images --format,
// https://docs.docker.com/reference/cli/docker/image/ls/#format.
type imageRow struct {
	Containers, CreatedAt, CreatedSince, Digest, ID, Repository, SharedSize, Size, Tag, UniqueSize, VirtualSize string
}

// imageRows makes a row of each tag, with digests of each tag and digest, and of a
// repository of which only digests are known.
func imageRows(i imageapi.Summary, short, showDigests bool) (rows []imageRow) {
	const none = "<none>"
	row := imageRow{
		ID: i.ID, CreatedAt: time.Unix(i.Created, 0).String(), CreatedSince: ago(i.Created),
		Size: units.HumanSizeWithPrecision(float64(i.Size), 3), VirtualSize: units.HumanSize(float64(i.Size)),
		Containers: "N/A", SharedSize: "N/A", UniqueSize: "N/A", // not worked out
	}
	if i.SharedSize >= 0 {
		row.SharedSize, row.UniqueSize = units.HumanSize(float64(i.SharedSize)), units.HumanSize(float64(i.Size-i.SharedSize))
	}
	if short {
		row.ID = shortID(i.ID)
	}
	if i.Containers >= 0 {
		row.Containers = strconv.FormatInt(i.Containers, 10)
	}
	add := func(repository, tag, digest string) {
		row.Repository, row.Tag, row.Digest = repository, tag, digest
		rows = append(rows, row)
	}
	digests := map[string][]string{} // by repository
	for _, ref := range i.RepoDigests {
		repository, digest, _ := strings.Cut(ref, "@")
		digests[repository] = append(digests[repository], digest)
	}
	all := func(repository, tag string) {
		known := digests[repository]
		if !showDigests || len(known) == 0 {
			known = []string{none}
		}
		for _, digest := range known {
			add(repository, tag, digest)
		}
	}
	tagged := map[string]bool{}
	for _, ref := range i.RepoTags {
		colon := strings.LastIndex(ref, ":")
		tagged[ref[:colon]] = true
		all(ref[:colon], ref[colon+1:])
	}
	for _, repository := range slices.Sorted(maps.Keys(digests)) {
		if !tagged[repository] {
			all(repository, none)
		}
	}
	if rows == nil {
		add(none, none, none)
	}
	return rows
}

func tagCommand(s *session) *command {
	return &command{
		Usage: "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", ArgsUsage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
		Description: "mydocker tag busybox shell:v1",
		Action: s.action(func(e *engine.Engine, args []string) error {
			err := e.Tag(args[0], args[1])
			if errors.Is(err, image.ErrInvalid) {
				wrong := args[1]
				if _, err := e.InspectImage(args[0], ""); errors.Is(err, image.ErrInvalid) {
					wrong = args[0]
				}
				err = exit(1, "Error parsing reference: %q is not a valid repository/tag: %w", wrong, err)
			}
			return err
		}),
	}
}

func rmiCommand(s *session) *command {
	var o engine.RemoveImageOptions
	return &command{
		Usage: "Remove one or more images", ArgsUsage: "[OPTIONS] IMAGE [IMAGE...]",
		Description: "mydocker rmi busybox:latest",
		Flags: flags("platform",
			boolean(&o.Force, "f,force", "Force removal of the image"),
			boolean(&o.NoPrune, "no-prune", "Do not delete untagged parents"),
		),
		Action: s.action(func(e *engine.Engine, refs []string) error {
			var errs []error
			for _, ref := range refs {
				removed, err := e.RemoveImage(ref, o)
				for _, r := range removed {
					if r.Deleted != "" {
						fmt.Println("Deleted:", r.Deleted)
					} else {
						fmt.Println("Untagged:", r.Untagged)
					}
				}
				if o.Force && isNoImage(err) { // that there is none is what was wanted
					show(err)
					err = nil
				}
				errs = append(errs, err)
			}
			return errors.Join(errs...)
		}),
	}
}
