package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"minidocker/mydocker/image/layer"
	"minidocker/mydocker/image/registry"
)

// Pushed is one tag that Push has set at its registry.
type Pushed struct {
	Tag    string
	Digest digest.Digest // of the manifest
	Size   int64         // of the manifest, in bytes
}

// uploads is how many blobs are sent at once, as in Docker.
const uploads = 5

// Push sends the image named ref to the registry of that name, which afterwards is
// one of its digests, too. progress may be nil; it is called by one goroutine at a
// time. What was pulled is sent as it came; layers that are not compressed, of an
// image that was neither pulled nor pushed, are so from now on.
func (s *Store) Push(ctx context.Context, c *registry.Client, ref string, progress func(Progress)) (pushed Pushed, err error) {
	name, err := normalize(ref)
	if err != nil {
		return pushed, err
	}
	if strings.Contains(name, "@") {
		return pushed, errors.New("cannot push a digest reference")
	}
	repository, tag := splitName(name)
	p := &puller{Store: s, report: progress}
	p.tell("", "The push refers to repository ["+fullName(repository)+"]", 0, 0)
	err = s.adding(func() error { // nothing of the image is swept meanwhile
		i, err := s.find(func(i *Image) bool { return slices.Contains(i.Names, name) })
		if err == nil && i == nil {
			any, _ := s.find(func(i *Image) bool { return slices.ContainsFunc(i.Names, inRepository(repository)) })
			if err = fmt.Errorf("An image does not exist locally with the tag: %s", repository); any != nil {
				err = fmt.Errorf("tag does not exist: %s", name)
			}
		}
		if err != nil {
			return err
		}
		pushed, err = p.push(ctx, c, i, repository, tag)
		return err
	})
	return pushed, err
}

// PushAll pushes every tag of a repository; each is told of one when it is done.
func (s *Store) PushAll(ctx context.Context, c *registry.Client, repository string, progress func(Progress), each func(Pushed)) error {
	name, err := normalize(repository)
	if err != nil {
		return err
	}
	repository, _ = splitName(name)
	all, err := s.List()
	if err != nil {
		return err
	}
	var names []string
	for _, i := range all {
		names = append(names, slices.DeleteFunc(i.Names, func(name string) bool { return !inRepository(repository)(name) })...)
	}
	if len(names) == 0 {
		return fmt.Errorf("An image does not exist locally with the tag: %s", repository)
	}
	slices.Sort(names)
	for n, name := range names {
		once := progress
		if n > 0 {
			once = func(p Progress) {
				if progress != nil && p.Layer != "" { // the repository is named once
					progress(p)
				}
			}
		}
		pushed, err := s.Push(ctx, c, name, once)
		if err != nil {
			return err
		}
		each(pushed)
	}
	return nil
}

func inRepository(repository string) func(name string) bool {
	return func(name string) bool { r, _ := splitName(name); return r == repository }
}

// fullName of a repository has the registry in it, and library/.
func fullName(repository string) string {
	domain, _, ok := strings.Cut(repository, "/")
	switch {
	case !ok:
		return "docker.io/library/" + repository
	case !strings.ContainsAny(domain, ".:") && domain != "localhost":
		return "docker.io/" + repository
	}
	return repository
}

// push sends blobs, then the manifest that refers to them.
func (p *puller) push(ctx context.Context, c *registry.Client, i *Image, repository, tag string) (pushed Pushed, err error) {
	sources, err := p.sources(i, repository)
	if err != nil {
		return pushed, err
	}
	var from []string
	for _, repositories := range sources {
		from = append(from, repositories...)
	}
	slices.Sort(from)
	if p.remote, err = c.Target(ctx, repository, slices.Compact(from)...); err != nil {
		return pushed, err
	}
	defer p.remote.Close()
	if err := p.remote.Reach(ctx); err != nil {
		return pushed, err
	}
	ids := i.Layers()
	for _, id := range slices.Backward(ids) {
		p.tell(id.Encoded()[:12], "Preparing", 0, 0)
	}
	for n := len(ids) - uploads - 1; n >= 0; n-- {
		p.tell(ids[n].Encoded()[:12], "Waiting", 0, 0)
	}
	if len(i.Digests) == 0 {
		if i, err = p.compressed(ctx, i); err != nil {
			return pushed, err
		}
	}
	group, sending := errgroup.WithContext(ctx)
	group.SetLimit(uploads)
	var met []digest.Digest
	for n, l := range slices.Backward(i.Manifest.Layers) {
		if slices.Contains(met, l.Digest) {
			continue
		}
		met = append(met, l.Digest)
		group.Go(func() error { return p.send(sending, l, ids[n].Encoded()[:12], sources[l.Digest]) })
	}
	if err := group.Wait(); err != nil {
		return pushed, err
	}
	if err := p.send(ctx, i.Manifest.Config, "", nil); err != nil {
		return pushed, err
	}
	data, err := os.ReadFile(p.blob(i.original()))
	if err != nil {
		return pushed, err
	}
	mediaType := ocispec.MediaTypeImageManifest
	if i.original() != i.Descriptor.Digest {
		mediaType = dockerManifest
	}
	if err := p.remote.PutManifest(ctx, tag, mediaType, registry.Body{Size: int64(len(data)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data)), nil
	}}); err != nil {
		return pushed, err
	}
	err = p.update(func(index *ocispec.Index) error {
		setName(index, i.Descriptor, repository+"@"+string(i.original()))
		return nil
	})
	return Pushed{tag, i.original(), int64(len(data))}, err
}

// sources gives, by a layer's blob, the other repositories of the same registry that
// have it, as far as one knows by what was pulled from there or pushed.
func (p *puller) sources(i *Image, repository string) (map[digest.Digest][]string, error) {
	all, err := p.List()
	sources := map[digest.Digest][]string{}
	host, _, _ := strings.Cut(fullName(repository), "/")
	for _, other := range all {
		for _, name := range other.Digests {
			known, _ := splitName(name)
			path, ok := strings.CutPrefix(fullName(known), host+"/")
			if !ok || known == repository {
				continue
			}
			for _, l := range other.Manifest.Layers {
				if len(sources[l.Digest]) < 3 && slices.ContainsFunc(i.Manifest.Layers, func(own ocispec.Descriptor) bool { return own.Digest == l.Digest }) {
					sources[l.Digest] = append(sources[l.Digest], path)
				}
			}
		}
	}
	return sources, err
}

// send makes sure that the registry has a blob. id is that of its layer, "" of a config.
func (p *puller) send(ctx context.Context, d ocispec.Descriptor, id string, sources []string) error {
	tell := func(status string, done, total int64) {
		if id != "" {
			p.tell(id, status, done, total)
		}
	}
	if len(d.URLs) > 0 {
		tell("Skipped foreign layer", 0, 0)
		return nil
	}
	has, err := p.remote.Has(ctx, d.Digest)
	if err != nil {
		return err
	}
	if has {
		tell("Layer already exists", 0, 0)
		return nil
	}
	for _, source := range sources {
		if p.remote.Mount(ctx, d.Digest, source) {
			tell("Mounted from "+source, 0, 0)
			return nil
		}
	}
	err = p.remote.Upload(ctx, d.Digest, registry.Body{Size: d.Size, Open: func() (io.ReadCloser, error) {
		file, err := os.Open(p.blob(d.Digest))
		if err != nil {
			return nil, err
		}
		done, told := int64(0), time.Time{}
		return struct {
			io.Reader
			io.Closer
		}{&meter{ctx, file, func(n int) {
			done += int64(n)
			if time.Since(told) > 100*time.Millisecond {
				told = time.Now()
				tell("Pushing", done, d.Size)
			}
		}}, file}, nil
	}})
	if err == nil {
		tell("Pushed", 0, 0)
	}
	return err
}

// compressed gives an image a manifest whose layers are all compressed in a way that
// every registry's clients know, and stores it.
func (p *puller) compressed(ctx context.Context, i *Image) (*Image, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(transfers)
	layers := slices.Clone(i.Manifest.Layers)
	var changed sync.Once
	same := true
	for n, l := range layers {
		if l.MediaType == ocispec.MediaTypeImageLayerGzip || l.MediaType == ocispec.MediaTypeImageLayerZstd {
			continue
		}
		changed.Do(func() { same = false })
		group.Go(func() (err error) {
			layers[n], err = p.compress(ctx, l.Digest)
			return err
		})
	}
	if err := group.Wait(); err != nil || same {
		return i, err
	}
	packed, err := p.newImage(i.Manifest.Config, layers, nil)
	if err != nil {
		return nil, err
	}
	return packed, p.commit(packed)
}

// compress stores a layer's blob once more, with gzip: the same bytes each time.
func (p *puller) compress(ctx context.Context, blob digest.Digest) (d ocispec.Descriptor, err error) {
	file, err := os.Open(p.blob(blob))
	if err != nil {
		return d, err
	}
	defer file.Close()
	plain, err := layer.Decompress(&meter{ctx: ctx, r: file})
	if err != nil {
		return d, err
	}
	r, w := io.Pipe()
	defer r.Close()
	go func() {
		packed := gzip.NewWriter(w)
		_, err := io.CopyBuffer(struct{ io.Writer }{packed}, plain, make([]byte, 1<<20))
		w.CloseWithError(errors.Join(err, packed.Close()))
	}()
	return p.writeBlob(r, nil)
}
