package cli

import (
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	imageapi "github.com/moby/moby/api/types/image"
)

func imageTitles() header {
	return header{
		"ID": "IMAGE ID", "Repository": "REPOSITORY", "Tag": "TAG", "Digest": "DIGEST",
		"CreatedSince": "CREATED", "CreatedAt": "CREATED AT", "Size": "SIZE",
		"Containers": "CONTAINERS", "SharedSize": "SHARED SIZE", "UniqueSize": "UNIQUE SIZE",
	}
}

// imageRow is one name of an image in a list. Its methods are the fields of
// images --format, https://docs.docker.com/reference/cli/docker/image/ls/#format.
type imageRow struct {
	i                 imageapi.Summary
	repo, tag, digest string
	short             bool
}

// imageRows makes a row of each tag, if digests are shown of each tag and digest
// of its repository, and of a repository of which only digests are known.
func imageRows(i imageapi.Summary, digests bool) (rows []*imageRow) {
	const none = "<none>"
	tagged := map[string]bool{}
	for _, ref := range i.RepoTags {
		colon := strings.LastIndex(ref, ":")
		if colon < 0 || ref == "<none>:<none>" {
			continue
		}
		repo, tag := ref[:colon], ref[colon+1:]
		tagged[repo] = true
		known := digestsOf(i, repo)
		if !digests || len(known) == 0 {
			known = []string{none}
		}
		for _, digest := range known {
			rows = append(rows, &imageRow{i: i, repo: repo, tag: tag, digest: digest})
		}
	}
	for _, ref := range i.RepoDigests {
		repo, digest, ok := strings.Cut(ref, "@")
		if !ok || tagged[repo] || repo == none {
			continue
		}
		tagged[repo] = !digests // one row is enough
		rows = append(rows, &imageRow{i: i, repo: repo, tag: none, digest: digest})
	}
	if len(rows) == 0 {
		rows = append(rows, &imageRow{i: i, repo: none, tag: none, digest: none})
	}
	return rows
}

func digestsOf(i imageapi.Summary, repo string) (digests []string) {
	for _, ref := range i.RepoDigests {
		if of, digest, ok := strings.Cut(ref, "@"); ok && of == repo {
			digests = append(digests, digest)
		}
	}
	return digests
}

func (r *imageRow) MarshalJSON() ([]byte, error) { return marshalRow(r) }

func (r *imageRow) ID() string {
	if r.short {
		return shortID(r.i.ID)
	}
	return r.i.ID
}

func (r *imageRow) Repository() string   { return r.repo }
func (r *imageRow) Tag() string          { return r.tag }
func (r *imageRow) Digest() string       { return r.digest }
func (r *imageRow) CreatedAt() string    { return time.Unix(r.i.Created, 0).String() }
func (r *imageRow) CreatedSince() string { return ago(r.i.Created) }
func (r *imageRow) Size() string         { return units.HumanSizeWithPrecision(float64(r.i.Size), 3) }

func (r *imageRow) Containers() string {
	if r.i.Containers < 0 {
		return "N/A"
	}
	return strconv.FormatInt(r.i.Containers, 10)
}

func (r *imageRow) SharedSize() string {
	if r.i.SharedSize < 0 {
		return "N/A"
	}
	return units.HumanSize(float64(r.i.SharedSize))
}

func (r *imageRow) UniqueSize() string {
	if r.i.SharedSize < 0 {
		return "N/A"
	}
	return units.HumanSize(float64(r.i.Size - r.i.SharedSize))
}
