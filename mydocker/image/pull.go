package image

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"minidocker/mydocker/disk"
	"minidocker/mydocker/image/registry"
)

// Progress is something that happened in a pull or push, in Docker's words.
type Progress struct {
	Layer          string // first 12 digits of a digest (pull: of the blob, push: of the layer), or the tag; "": it is about the whole
	Status         string // such as "Downloading" or "Pull complete"
	Current, Total int64  // bytes; Total 0: there is nothing to measure
}

// PullOptions are the options of Pull. All may be empty.
type PullOptions struct {
	All      bool           // every tag of the repository
	Platform string         // os[/arch[/variant]] or arch; "": this machine's
	Progress func(Progress) // called by one goroutine at a time
}

// Pulled is an image that Pull stored or found up to date; of all, the last one.
type Pulled struct {
	Name   string        // short, with its tag or digest; of all, without
	Digest digest.Digest // of the manifest or index that the name means at the registry
	ID     digest.Digest
	New    bool // it was not there, or the name meant another image; of all, any
}

// transfers is how many blobs are under way at once, as in Docker.
const transfers = 3

// Pull stores the image that ref means at its registry. A pull that is interrupted
// leaves its manifest in pulls/, for whose sake the sweep keeps what there is of its
// blobs, and the next one goes on there.
func (s *Store) Pull(ctx context.Context, c *registry.Client, ref string, o PullOptions) (pulled Pulled, err error) {
	name, err := normalize(ref)
	if err == nil && repositoryOf(name) == "scratch" {
		err = errors.New("'scratch' is a reserved name")
	}
	if err == nil {
		_, err = parsePlatform(o.Platform)
	}
	if err != nil {
		return pulled, err
	}
	p := &puller{Store: s, report: o.Progress}
	if p.remote, err = c.Repository(ctx, repositoryOf(name)); err != nil {
		return pulled, err
	}
	defer p.remote.Close()
	references := []string{name[len(repositoryOf(name))+1:]}
	if o.All {
		if references, err = p.remote.Tags(ctx); err != nil {
			return pulled, explain(err, name)
		}
	}
	status, isNew := "Status: Image is up to date for ", false
	for _, reference := range references {
		if o.All {
			name = repositoryOf(name) + ":" + reference
		}
		if pulled, err = p.pull(ctx, name, reference, o.Platform); err != nil {
			return pulled, err
		}
		if isNew = isNew || pulled.New; isNew {
			status = "Status: Downloaded newer image for "
		}
		p.say(Progress{Status: "Digest: " + pulled.Digest.String()})
	}
	if pulled.Name, pulled.New = name, isNew; o.All {
		pulled.Name = repositoryOf(name)
	}
	p.say(Progress{Status: status + pulled.Name})
	return pulled, nil
}

// explain puts a registry's answer as Docker does.
func explain(err error, name string) error {
	var status *registry.Error
	if !errors.As(err, &status) {
		return err
	}
	repository := repositoryOf(name)
	switch status.Code {
	case "DENIED":
		return fmt.Errorf("pull access denied for %s, repository does not exist or may require 'docker login': %w", repository, err)
	case "MANIFEST_UNKNOWN":
		return fmt.Errorf("manifest for %s not found: %w", name, err)
	case "NAME_UNKNOWN":
		return fmt.Errorf("repository %s not found: %w", repository, err)
	}
	return err
}

// puller is one pull.
type puller struct {
	*Store
	remote *registry.Repository
	mu     sync.Mutex
	report func(Progress)
}

// tell reports progress, by one goroutine at a time; of a config, without id, nothing.
func (p *puller) tell(id, status string, current, total int64) {
	if id != "" {
		p.say(Progress{id, status, current, total})
	}
}

func (p *puller) say(what Progress) {
	if p.report != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.report(what)
	}
}

// metered tells, ten times a second, how much of a blob has been read.
func (p *puller) metered(ctx context.Context, r io.Reader, id, status string, total int64) io.Reader {
	done, told := int64(0), time.Time{}
	return &meter{ctx, r, func(n int) {
		done += int64(n)
		if time.Since(told) > 100*time.Millisecond {
			told = time.Now()
			p.tell(id, status, done, total)
		}
	}}
}

// pull stores one image, whose name has that reference, a tag or digest.
func (p *puller) pull(ctx context.Context, name, reference, platform string) (pulled Pulled, err error) {
	err = p.adding(func() error {
		data, d, err := p.remote.Manifest(ctx, reference)
		if err != nil {
			return explain(err, name)
		}
		pulled.Digest = d.Digest
		if strings.Contains(name, "@") {
			reference = name
		}
		p.tell(reference, "Pulling from "+p.remote.Path(), 0, 0)
		if data, d, err = p.choose(ctx, data, d, platform); err != nil {
			return err
		}
		manifest, err := parseManifest(data, d, name)
		if err != nil {
			return err
		}
		old, err := p.find(func(i *Image) bool { return slices.Contains(i.Names, name) || slices.Contains(i.Digests, name) })
		if err != nil {
			return err
		}
		pulled.ID = manifest.Config.Digest
		pulled.New = old == nil || old.ID != pulled.ID
		i, err := p.find(func(i *Image) bool { return i.ID == pulled.ID && p.whole(i) })
		if err == nil && i == nil {
			i, err = p.fetch(ctx, data, d, manifest)
		}
		if err != nil {
			return err
		}
		if err := i.CheckPlatform(platform, name); err != nil {
			p.say(Progress{Status: "WARNING: " + err.Error()})
		}
		names := slices.Compact([]string{repositoryOf(name) + "@" + string(pulled.Digest), name})
		i.Digests, i.Names = names[:1], names[1:]
		return p.commit(i)
	})
	return pulled, err
}

// find returns an image, nil if there is none of that kind.
func (s *Store) find(match func(*Image) bool) (*Image, error) {
	all, err := s.List()
	if at := slices.IndexFunc(all, match); at >= 0 {
		return all[at], err
	}
	return nil, err
}

// fetch stores an image's manifest and blobs, and unpacks its layers.
func (p *puller) fetch(ctx context.Context, data []byte, d ocispec.Descriptor, m ocispec.Manifest) (i *Image, err error) {
	if err := os.MkdirAll(p.pulls(), 0o700); err != nil {
		return nil, err
	}
	record := filepath.Join(p.pulls(), d.Digest.Encoded())
	lock, err := disk.Acquire(record, disk.Shared)
	if err == nil {
		defer lock.Release()
		err = os.WriteFile(record, data, 0o600) // not by a rename, which would lose the lock
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err == nil || ctx.Err() == nil && !registry.Temporary(err) { // else a later pull goes on
			os.Remove(record)
		}
	}()
	if m.Config.Size > 16<<20 {
		return nil, fmt.Errorf("config %s of %d bytes is too large", m.Config.Digest, m.Config.Size)
	}
	if err = p.download(ctx, m.Config, "", func(io.Reader) error { return nil }); err != nil {
		return nil, err
	}
	stored, err := p.writeBlob(bytes.NewReader(data), nil)
	if err == nil && d.MediaType == dockerManifest { // that is kept, too, to be pushed
		stored, err = p.writeJSON(convert(m))
	}
	if err != nil {
		return nil, err
	}
	stored.MediaType = ocispec.MediaTypeImageManifest
	if i, err = p.open(&ocispec.Index{}, stored); err != nil {
		return nil, err
	}
	if system := cmp.Or(i.Config.OS, "linux"); system != "linux" {
		return nil, fmt.Errorf("image operating system %q cannot be used on this platform", system)
	}
	return i, p.layers(ctx, i)
}

// layers fetches and unpacks all layers of an image that are not there.
func (p *puller) layers(ctx context.Context, i *Image) error {
	type part struct{ blob, diffID digest.Digest }
	missing, met := []int{}, map[part]bool{}
	for n, l := range i.Manifest.Layers {
		one := part{l.Digest, i.Layers()[n]}
		if met[one] {
			continue
		}
		met[one] = true
		if info, err := os.Stat(p.blob(l.Digest)); err == nil && info.Size() == l.Size && p.findLayer(one.diffID) == nil {
			p.tell(l.Digest.Encoded()[:12], "Already exists", 0, 0)
			continue
		}
		missing = append(missing, n)
		p.tell(l.Digest.Encoded()[:12], "Pulling fs layer", 0, 0)
	}
	for k, n := range missing {
		if k >= transfers {
			p.tell(i.Manifest.Layers[n].Digest.Encoded()[:12], "Waiting", 0, 0)
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(transfers)
	for _, n := range missing {
		group.Go(func() error { return p.layer(ctx, i, n) })
	}
	return group.Wait()
}

func (p *puller) layer(ctx context.Context, i *Image, n int) error {
	blob, diffID := i.Manifest.Layers[n], i.Layers()[n]
	id := blob.Digest.Encoded()[:12]
	err := p.download(ctx, blob, id, func(r io.Reader) error {
		if _, err := p.unpack(r, diffID); err != nil {
			return fmt.Errorf("failed to register layer: %v", err) // %v: that a layer is cut is not Temporary
		}
		return nil
	})
	if err == nil {
		p.tell(id, "Pull complete", 0, 0)
	}
	return err
}
