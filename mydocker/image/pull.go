package image

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
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
	"github.com/opencontainers/image-spec/specs-go"
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
	Platform string         // os[/arch[/variant]] or arch; "": this machine's
	Progress func(Progress) // called by one goroutine at a time
}

// Pulled is an image that Pull stored or found up to date.
type Pulled struct {
	Name   string        // short, with its tag or digest
	Digest digest.Digest // of the manifest or index that the name means at the registry
	ID     digest.Digest
	New    bool // it was not there, or the name meant another image
}

// transfers is how many blobs are under way at once, as in Docker.
const transfers = 3

// Pull stores the image that ref means at its registry. A pull that is interrupted
// leaves its manifest in pulls/, for whose sake the sweep keeps what there is of its
// blobs, and the next one goes on there.
func (s *Store) Pull(ctx context.Context, c *registry.Client, ref string, o PullOptions) (Pulled, error) {
	name, err := normalize(ref)
	if err != nil {
		return Pulled{}, err
	}
	repository, reference := splitName(name)
	if repository == "scratch" {
		return Pulled{}, errors.New("'scratch' is a reserved name")
	}
	remote, err := c.Repository(ctx, repository)
	if err != nil {
		return Pulled{}, err
	}
	defer remote.Close()
	return s.pull(ctx, remote, name, reference, o)
}

// PullAll pulls every tag of a repository; each is told of one when it is done.
func (s *Store) PullAll(ctx context.Context, c *registry.Client, repository string, o PullOptions, each func(Pulled)) error {
	name, err := normalize(repository)
	if err != nil {
		return err
	}
	repository, _ = splitName(name)
	remote, err := c.Repository(ctx, repository)
	if err != nil {
		return err
	}
	defer remote.Close()
	tags, err := remote.Tags(ctx)
	if err != nil {
		return explain(err, name)
	}
	for _, tag := range tags {
		pulled, err := s.pull(ctx, remote, repository+":"+tag, tag, o)
		if err != nil {
			return err
		}
		each(pulled)
	}
	return nil
}

// splitName takes a short name apart: reference is its tag or digest.
func splitName(name string) (repository, reference string) {
	if repository, reference, ok := strings.Cut(name, "@"); ok {
		return repository, reference
	}
	at := strings.LastIndex(name, ":")
	return name[:at], name[at+1:]
}

// explain puts a registry's answer as Docker does.
func explain(err error, name string) error {
	var status *registry.Error
	if !errors.As(err, &status) {
		return err
	}
	repository, _ := splitName(name)
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

// tell reports progress, by one goroutine at a time.
func (p *puller) tell(layer, status string, current, total int64) {
	if p.report != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.report(Progress{layer, status, current, total})
	}
}

func (s *Store) pull(ctx context.Context, remote *registry.Repository, name, reference string, o PullOptions) (pulled Pulled, err error) {
	p := &puller{Store: s, remote: remote, report: o.Progress}
	err = s.adding(func() error {
		data, d, err := remote.Manifest(ctx, reference)
		if err != nil {
			return explain(err, name)
		}
		pulled = Pulled{Name: name, Digest: d.Digest}
		if strings.Contains(name, "@") {
			reference = name
		}
		p.tell(reference, "Pulling from "+remote.Path(), 0, 0)
		if data, d, err = p.choose(ctx, data, d, o.Platform); err != nil {
			return err
		}
		manifest, err := parseManifest(data, d, name)
		if err != nil {
			return err
		}
		old, err := s.find(func(i *Image) bool { return slices.Contains(i.Names, name) || slices.Contains(i.Digests, name) })
		if err != nil {
			return err
		}
		pulled.ID = manifest.Config.Digest
		pulled.New = old == nil || old.ID != pulled.ID
		i, err := s.find(func(i *Image) bool { return i.ID == pulled.ID && s.whole(i) })
		known := i != nil
		if err == nil && !known {
			i, err = p.fetch(ctx, data, d, manifest)
		}
		if err != nil {
			return err
		}
		if err := i.CheckPlatform(o.Platform, name); err != nil {
			p.tell("", "WARNING: "+err.Error(), 0, 0)
		}
		repository, _ := splitName(name)
		names := slices.Compact([]string{repository + "@" + string(pulled.Digest), name})
		if !known {
			i.Names = names
			return s.commit(i)
		}
		return s.update(func(index *ocispec.Index) error {
			for _, name := range names {
				setName(index, i.Descriptor, name)
			}
			return nil
		})
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

// whole reports whether nothing of an image is missing.
func (s *Store) whole(i *Image) bool {
	return !slices.ContainsFunc(i.blobs(), func(d digest.Digest) bool { return s.verify(d, false) != nil }) &&
		!slices.ContainsFunc(i.Layers(), func(d digest.Digest) bool { return s.findLayer(d) != nil })
}

const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerSchema1  = "application/vnd.docker.distribution.manifest.v1+" // json or prettyjws
)

// choose follows an index to the manifest for a platform.
func (p *puller) choose(ctx context.Context, data []byte, d ocispec.Descriptor, platform string) ([]byte, ocispec.Descriptor, error) {
	wanted, err := parsePlatform(cmp.Or(platform, "linux"))
	for depth := 0; err == nil && (d.MediaType == ocispec.MediaTypeImageIndex || d.MediaType == dockerList); depth++ {
		var index ocispec.Index
		if err := json.Unmarshal(data, &index); err != nil {
			return nil, d, fmt.Errorf("index %s: %w", d.Digest, err)
		}
		best := bestMatch(index.Manifests, wanted)
		if best == nil || depth == 4 {
			return nil, d, fmt.Errorf("no matching manifest for %s in the manifest list entries", platformText(wanted))
		}
		data, d, err = p.remote.Manifest(ctx, string(best.Digest))
	}
	return data, d, err
}

// parseManifest reads an image's manifest, OCI's or Docker's. name is for errors.
func parseManifest(data []byte, d ocispec.Descriptor, name string) (m ocispec.Manifest, err error) {
	switch {
	case strings.HasPrefix(d.MediaType, dockerSchema1):
		return m, fmt.Errorf("%s: Docker Image manifest version 2, schema 1 is not supported; ask its author for the OCI format or schema 2", name)
	case d.MediaType != dockerManifest && d.MediaType != ocispec.MediaTypeImageManifest:
		return m, fmt.Errorf("%s: unsupported manifest media type %q", name, d.MediaType)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("manifest of %s: %w", name, err)
	}
	switch m.Config.MediaType { // the last four registries have made of Docker's by mistake
	case ocispec.MediaTypeImageConfig, "application/vnd.docker.container.image.v1+json", "application/octet-stream", "application/json", "text/html", "":
	case "application/vnd.docker.plugin.v1+json":
		return m, fmt.Errorf("Encountered remote %q(plugin) when fetching", m.Config.MediaType)
	default:
		return m, fmt.Errorf("Encountered remote %q(unknown) when fetching", m.Config.MediaType)
	}
	for _, blob := range append(m.Layers, m.Config) {
		if err := blob.Digest.Validate(); err != nil || blob.Digest.Algorithm() != digest.SHA256 || blob.Size < 0 {
			return m, fmt.Errorf("manifest of %s: invalid digest %q or size", name, blob.Digest)
		}
	}
	return m, nil
}

// fetch stores an image's manifest and blobs, and unpacks its layers.
func (p *puller) fetch(ctx context.Context, data []byte, d ocispec.Descriptor, m ocispec.Manifest) (i *Image, err error) {
	record := filepath.Join(p.pulls(), d.Digest.Encoded())
	if err := errors.Join(os.MkdirAll(p.pulls(), 0o700), os.WriteFile(record, data, 0o600)); err != nil {
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
	err = p.download(ctx, m.Config, "", func(r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	stored, err := p.writeBlob(bytes.NewReader(data), nil)
	stored.MediaType = ocispec.MediaTypeImageManifest
	if err == nil && (d.MediaType == dockerManifest || m.Annotations[originalManifest] != "") {
		stored, err = p.writeJSON(convert(m, d.Digest))
		stored.MediaType = ocispec.MediaTypeImageManifest
	}
	if err != nil {
		return nil, err
	}
	if i, err = p.open(&ocispec.Index{}, stored); err != nil {
		return nil, err
	}
	if system := cmp.Or(i.Config.OS, "linux"); system != "linux" {
		return nil, fmt.Errorf("image operating system %q cannot be used on this platform", system)
	}
	return i, p.layers(ctx, i)
}

// originalManifest is the annotation, of a manifest made of one of Docker's, with the
// digest of that one, which is a blob, too. Pushed is the original.
const originalManifest = "mydocker.original"

// original is the digest of the manifest that the image was pulled by.
func (i *Image) original() digest.Digest {
	return digest.Digest(cmp.Or(i.Manifest.Annotations[originalManifest], string(i.Descriptor.Digest)))
}

// convert makes an OCI manifest of Docker's (OCI image-spec, media-types.md).
func convert(m ocispec.Manifest, original digest.Digest) ocispec.Manifest {
	m.Versioned, m.MediaType = specs.Versioned{SchemaVersion: 2}, ocispec.MediaTypeImageManifest
	m.Config.MediaType = ocispec.MediaTypeImageConfig
	m.Annotations = map[string]string{originalManifest: string(original)}
	for n, l := range m.Layers {
		switch {
		case strings.HasSuffix(l.MediaType, "gzip"):
			l.MediaType = ocispec.MediaTypeImageLayerGzip
		case strings.HasSuffix(l.MediaType, "zstd"):
			l.MediaType = ocispec.MediaTypeImageLayerZstd
		default:
			l.MediaType = ocispec.MediaTypeImageLayer
		}
		m.Layers[n] = l
	}
	return m
}

// layers fetches and unpacks all layers of an image that are not there.
func (p *puller) layers(ctx context.Context, i *Image) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(transfers)
	type part struct{ blob, diffID digest.Digest }
	missing, met := []int{}, map[part]bool{}
	for n, l := range i.Manifest.Layers {
		one := part{l.Digest, i.Layers()[n]}
		if met[one] {
			continue
		}
		met[one] = true
		_, err := os.Stat(p.blob(l.Digest))
		if err == nil && p.findLayer(one.diffID) == nil {
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
	for _, n := range missing {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return p.layer(ctx, i, n)
		})
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

// download stores a blob and passes it on, while it comes, to use, which reads it to
// its end. What there is of the blob already is not downloaded again; if it then turns
// out to be wrong it may be that, so once more all is.
func (p *puller) download(ctx context.Context, d ocispec.Descriptor, id string, use func(io.Reader) error) error {
	staging := filepath.Join(p.blobs(), "new-"+d.Digest.Encoded())
	lock, err := lockBlob(ctx, staging)
	if err != nil {
		return err
	}
	defer lock.Release()
	if file, err := os.Open(p.blob(d.Digest)); err == nil { // somebody else has brought it
		defer file.Close()
		os.Remove(staging)
		done := int64(0)
		return use(&meter{ctx, file, func(n int) {
			done += int64(n)
			p.tell(id, "Extracting", done, d.Size)
		}})
	}
	for {
		resumed, err := p.receive(ctx, d, id, lock.File(), use)
		if err == nil {
			return os.Rename(staging, p.blob(d.Digest))
		}
		if !errors.Is(err, errVerify) {
			if ctx.Err() == nil && !registry.Temporary(err) {
				os.Remove(staging)
			}
			return err
		}
		if terr := lock.File().Truncate(0); terr != nil || !resumed && !p.remote.GiveUp() {
			os.Remove(staging)
			return errors.Join(terr, err)
		}
	}
}

// lockBlob waits for whoever else downloads a blob.
func lockBlob(ctx context.Context, staging string) (*disk.Lock, error) {
	for {
		lock, err := disk.TryAcquire(staging, disk.Exclusive)
		if !errors.Is(err, disk.ErrLocked) {
			return lock, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

var errVerify = errors.New("filesystem layer verification failed for digest")

// receive appends to file what is missing in it, in one stream with use and the hash
// that is compared before the stream ends.
func (p *puller) receive(ctx context.Context, d ocispec.Descriptor, id string, file *os.File, use func(io.Reader) error) (resumed bool, err error) {
	info, err := file.Stat()
	if err != nil {
		return false, err
	}
	offset := min(info.Size(), d.Size)
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		return false, err
	}
	body, err := p.remote.Blob(ctx, d, offset)
	if err != nil {
		return false, err
	}
	defer body.Close()
	sum := digest.SHA256.Digester()
	source := &source{done: func() error {
		p.tell(id, "Verifying Checksum", 0, 0)
		if sum.Digest() != d.Digest {
			return fmt.Errorf("%w %s", errVerify, d.Digest)
		}
		p.tell(id, "Download complete", 0, 0)
		p.tell(id, "Extracting", d.Size, d.Size)
		return nil
	}}
	current, told := int64(0), time.Time{}
	count := &meter{ctx, io.MultiReader(io.NewSectionReader(file, 0, offset), io.TeeReader(body, file)), func(n int) {
		current += int64(n)
		if time.Since(told) > 100*time.Millisecond && n > 0 {
			told = time.Now()
			p.tell(id, "Downloading", current, d.Size)
		}
	}}
	source.Reader = io.TeeReader(count, sum.Hash())
	uerr := use(source)
	if _, err := io.Copy(io.Discard, source); err != nil { // what use has left; and it knows less of why
		return offset > 0, err
	}
	return offset > 0, uerr
}

// source keeps the error at which it ended, for all later reads.
type source struct {
	io.Reader
	done func() error // is called at the end; its error replaces it
	err  error
}

func (s *source) Read(p []byte) (n int, err error) {
	if s.err != nil {
		return 0, s.err
	}
	n, s.err = s.Reader.Read(p)
	if s.err == io.EOF {
		s.err = cmp.Or(s.done(), io.EOF)
	}
	return n, s.err
}

func (s *Store) pulls() string { return filepath.Join(s.layout(), "pulls") }

// forgetPulls lets go of what interrupted pulls have brought, unless one is under way.
func (s *Store) forgetPulls() error {
	lock, err := disk.TryAcquire(s.addingLock(), disk.Exclusive)
	if errors.Is(err, disk.ErrLocked) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Release()
	return disk.RemoveAll(s.pulls())
}

// interrupted gives the files that pulls, under way or interrupted, need.
func (s *Store) interrupted() (paths []string) {
	records, _ := os.ReadDir(s.pulls())
	for _, record := range records {
		var m ocispec.Manifest
		if disk.ReadJSON(filepath.Join(s.pulls(), record.Name()), &m) != nil {
			continue // half written
		}
		for _, d := range append(m.Layers, m.Config) {
			if d.Digest.Validate() == nil {
				paths = append(paths, s.blob(d.Digest), filepath.Join(s.blobs(), "new-"+d.Digest.Encoded()))
			}
		}
	}
	return paths
}
