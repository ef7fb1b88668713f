package engine

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"minidocker/mydocker/disk"
	"minidocker/mydocker/image"

	"github.com/moby/moby/api/types/events"
	imageapi "github.com/moby/moby/api/types/image"
	"github.com/opencontainers/go-digest"
)

// ImportOptions describe an image made of a tar.
type ImportOptions struct {
	Ref     string   // name:tag; "": an image without a name
	Message string   // for its history
	Changes []string // Dockerfile instructions

	Platform string // os[/arch[/variant]]; "": this machine's
}

// Import makes an image of a root file system's tar and returns its ID.
func (e *Engine) Import(ctx context.Context, r io.Reader, o ImportOptions) (id string, err error) {
	i, err := e.images.Import(ctx, r, image.ImportOptions(o))
	if err != nil {
		return "", err
	}
	for _, name := range i.Names {
		e.imageEvent(events.ActionTag, i.ID.String(), name, i)
	}
	e.imageEvent(events.ActionImport, i.ID.String(), "", i)
	return i.ID.String(), nil
}

// Loaded is one image that Load stored: its name, or if it has none "", its ID, and that
// of the image which had the name, or "".
type Loaded struct{ Name, ID, Replaced string }

// Save writes an archive of images, by names or IDs, that docker load takes. All must be
// of the platform; "": of any.
func (e *Engine) Save(ctx context.Context, w io.Writer, platform string, refs ...string) error {
	if err := e.images.Save(ctx, w, platform, refs...); err != nil {
		return err
	}
	for _, ref := range refs {
		if i, err := e.images.Resolve(ref); err == nil {
			e.imageEvent(events.ActionSave, i.ID.String(), "", i)
		}
	}
	return nil
}

// Load reads an archive of docker save or an OCI layout. platform is that of the images
// to take; "": this machine's. progress (nil: none) is
// called with each layer's digest and how many of its bytes, of total (0: not
// known), are stored.
func (e *Engine) Load(ctx context.Context, r io.Reader, platform string, progress func(layer string, done, total int64)) ([]Loaded, error) {
	images, err := e.images.Load(ctx, r, platform, progress)
	var loaded []Loaded
	for _, i := range images {
		loaded = append(loaded, Loaded{i.Name, i.ID.String(), i.Replaced.String()})
		e.imageEvent(events.ActionLoad, i.ID.String(), "", nil)
	}
	return loaded, err
}

// imageEvent tells the labels of the image too: of that which id stands for if i is nil, if it is there.
func (e *Engine) imageEvent(action events.Action, id, name string, i *image.Image) {
	attributes := map[string]string{}
	if i == nil {
		i, _ = e.images.Resolve(id)
	}
	if i != nil {
		maps.Copy(attributes, i.Config.Config.Labels)
	}
	attributes["name"] = cmp.Or(name, id)
	e.journal.Append(events.Message{Type: events.ImageEventType, Action: action, Actor: events.Actor{ID: id, Attributes: attributes}})
}

// ImagesOptions limit a list of images.
type ImagesOptions struct {
	All     bool   // also images without a name from which others were committed
	Ref     string // a name, or a pattern of one
	Filters Filters
}

// Images gives the images, the newest first.
func (e *Engine) Images(o ImagesOptions) ([]imageapi.Summary, error) {
	if err := o.Filters.check("before", "dangling", "label", "reference", "since", "until"); err != nil {
		return nil, err
	}
	all, err := e.images.List()
	if err != nil {
		return nil, err
	}
	match, err := matcher(o.Filters, e.imageCondition)
	if err != nil {
		return nil, err
	}
	patterns := append(slices.Clone(o.Filters["reference"]), nonEmpty(o.Ref)...)
	for _, pattern := range patterns {
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("invalid filter 'reference=%s': %w", pattern, err)
		}
	}
	parents := map[digest.Digest]bool{}
	for _, i := range all {
		parents[i.Parent] = true
	}
	var summaries []imageapi.Summary
	for _, i := range all {
		names, byDigest := i.Names, i.Digests
		if len(patterns) > 0 {
			other := func(name string) bool { return !matchReference(name, patterns) }
			names, byDigest = slices.DeleteFunc(slices.Clone(names), other), slices.DeleteFunc(slices.Clone(byDigest), other)
			if len(names)+len(byDigest) == 0 {
				continue
			}
		}
		if !match(i) || len(i.Names)+len(i.Digests) == 0 && parents[i.ID] && (!o.All || o.Filters["dangling"] != nil) {
			continue
		}
		summaries = append(summaries, imageapi.Summary{
			ID: i.ID.String(), ParentID: i.Parent.String(), Created: i.Created().Unix(), Labels: i.Config.Config.Labels, RepoTags: names, RepoDigests: byDigest,
			Size: e.images.Size(i), SharedSize: -1, Containers: -1, // DiskUsage counts them
		})
	}
	return summaries, nil
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// matchReference compares a familiar name with patterns of path.Match that may
// leave out the tag.
func matchReference(name string, patterns []string) bool {
	repository, _, digested := strings.Cut(name, "@")
	if !digested {
		repository = name[:max(strings.LastIndex(name, ":"), 0)]
	}
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		pattern = strings.TrimPrefix(strings.TrimPrefix(pattern, "docker.io/"), "library/")
		whole, _ := path.Match(pattern, name)
		short, _ := path.Match(pattern, repository)
		return whole || short
	})
}

func (e *Engine) imageCondition(name, value string) (func(*image.Image) bool, error) {
	switch name {
	case "dangling":
		switch value {
		case "true", "1":
			return func(i *image.Image) bool { return len(i.Names) == 0 }, nil
		case "false", "0":
			return func(i *image.Image) bool { return len(i.Names)+len(i.Digests) > 0 }, nil
		}
		return nil, fmt.Errorf("invalid filter 'dangling=[%s]'", value)
	case "label":
		return func(i *image.Image) bool { return matchLabel(i.Config.Config.Labels, value) }, nil
	case "label!":
		return func(i *image.Image) bool { return !matchLabel(i.Config.Config.Labels, value) }, nil
	case "reference":
		return func(*image.Image) bool { return true }, nil // by name, see Images
	case "until":
		limit, err := ParseTime(value, time.Now())
		return func(i *image.Image) bool { return i.Created().Before(limit) }, err
	}
	other, err := e.images.Resolve(value)
	if err != nil {
		return nil, err
	}
	if name == "before" {
		return func(i *image.Image) bool { return i.Created().Before(other.Created()) }, nil
	}
	return func(i *image.Image) bool { return i.Created().After(other.Created()) }, nil
}

// InspectImage tells all about an image, which must be of the platform; "": of any.
func (e *Engine) InspectImage(ref, platform string) (ImageInspect, error) {
	i, err := e.images.Resolve(ref)
	if err == nil {
		err = i.CheckPlatform(platform, ref)
	}
	if err != nil {
		return ImageInspect{}, err
	}
	return ImageInspect{imageapi.InspectResponse{
		ID: i.ID.String(), RepoTags: orEmpty(i.Names), RepoDigests: orEmpty(i.Digests), Comment: comment(i), Created: i.Created().Format(time.RFC3339Nano),
		Author: i.Config.Author, Config: &i.Config.Config, Architecture: i.Config.Architecture, Variant: i.Config.Variant, Os: i.Config.OS,
		OsVersion: i.Config.OSVersion, Size: e.images.Size(i), RootFS: imageapi.RootFS{Type: "layers", Layers: digests(i.Layers())},
		GraphDriver: e.imageDriver(i), Metadata: imageapi.Metadata{LastTagTime: i.Tagged}, Descriptor: &i.Descriptor,
	}, i.Parent.String()}, nil
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func comment(i *image.Image) string {
	if n := len(i.Config.History); n > 0 {
		return i.Config.History[n-1].Comment
	}
	return ""
}

func digests(list []digest.Digest) []string {
	texts := make([]string, len(list))
	for i, d := range list {
		texts[i] = d.String()
	}
	return texts
}

// Tag gives an image one more name.
func (e *Engine) Tag(ref, name string) error {
	id, short, err := e.images.Tag(ref, name)
	if err == nil {
		e.imageEvent(events.ActionTag, id.String(), short, nil)
	}
	return err
}

// RemoveImageOptions are the options of RemoveImage.
type RemoveImageOptions struct {
	Force   bool // although it has several names, or stopped containers use it
	NoPrune bool // keep untagged parents
}

// RemoveImage takes a name from an image, and deletes an image without names.
func (e *Engine) RemoveImage(ref string, o RemoveImageOptions) ([]imageapi.DeleteResponse, error) {
	lock, err := e.lockStore(disk.Exclusive)
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	users, err := e.imageUsers()
	if err != nil {
		return nil, err
	}
	stored, err := e.images.List()
	if err != nil {
		return nil, err
	}
	deleted, err := e.images.Remove(ref, image.RemoveOptions{Force: o.Force, NoPrune: o.NoPrune, InUse: inUse(users)})
	e.removedEvents(stored, deleted)
	return deleted, err
}

// inUse tells of an image by ID which container uses it, one that runs before others.
func inUse(users map[string][]known) func(id string) (string, bool) {
	return func(id string) (string, bool) {
		container := ""
		for _, c := range users[id] {
			if running(c.State) {
				return c.ID, true
			}
			container = c.ID
		}
		return container, false
	}
}

// removedEvents tells what was done to images that were stored before.
func (e *Engine) removedEvents(stored []*image.Image, done []imageapi.DeleteResponse) {
	for _, one := range done {
		for _, i := range stored {
			switch {
			case one.Untagged != "" && slices.Contains(slices.Concat(i.Names, i.Digests), one.Untagged):
				e.imageEvent(events.ActionUnTag, i.ID.String(), "", i)
			case one.Deleted == i.ID.String(): // the others are layers
				e.imageEvent(events.ActionDelete, i.ID.String(), "", nil)
			}
		}
	}
}

// imageUsers maps image IDs to the containers made of them.
func (e *Engine) imageUsers() (map[string][]known, error) {
	all, err := e.snapshot()
	if err != nil {
		return nil, err
	}
	users := map[string][]known{}
	for _, c := range all {
		users[c.Image] = append(users[c.Image], c)
	}
	return users, nil
}
