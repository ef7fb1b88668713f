package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"minidocker/mydocker/image/layer"
	"minidocker/mydocker/image/registry"
)

// PushOptions are the options of Push. All may be empty.
type PushOptions struct {
	All      bool           // every tag of the repository
	Progress func(Progress) // called by one goroutine at a time
}

// Pushed is what Push has sent; of all, the last image.
type Pushed struct {
	Name   string        // short, with its tag; of all, without
	Digest digest.Digest // of the manifest
}

// uploads is how many blobs are sent at once, as in Docker.
const uploads = 5

// Push sends the image named ref to the registry of that name, which afterwards is
// one of its digests, too. What was pulled is sent as it came; layers that are not
// compressed, of an image that was neither pulled nor pushed, are so from now on.
func (s *Store) Push(ctx context.Context, c *registry.Client, ref string, o PushOptions) (pushed Pushed, err error) {
	name, err := normalize(ref)
	if err == nil && strings.Contains(name, "@") {
		err = errors.New("cannot push a digest reference")
	}
	if err != nil {
		return pushed, err
	}
	p, repository := &puller{Store: s, report: o.Progress}, repositoryOf(name)
	p.say(Progress{Status: "The push refers to repository [" + fullName(repository) + "]"})
	tags := s.tags(repository)
	switch {
	case len(tags) == 0:
		return pushed, fmt.Errorf("An image does not exist locally with the tag: %s", repository)
	case o.All:
		name = repository
	default:
		tags = []string{name}
	}
	for _, tag := range tags {
		if pushed.Digest, err = p.push(ctx, c, tag); err != nil {
			return pushed, err
		}
	}
	pushed.Name = name
	return pushed, nil
}

// tags are the names, in their order, that images have in a repository.
func (s *Store) tags(repository string) (names []string) {
	all, _ := s.List()
	for _, i := range all {
		names = append(names, slices.DeleteFunc(i.Names, func(name string) bool { return repositoryOf(name) != repository })...)
	}
	slices.Sort(names)
	return names
}

// push sends the image of a name.
func (p *puller) push(ctx context.Context, c *registry.Client, name string) (d digest.Digest, err error) {
	err = p.adding(func() error { // nothing of the image is swept meanwhile
		i, err := p.find(func(i *Image) bool { return slices.Contains(i.Names, name) })
		if err == nil && i == nil {
			err = fmt.Errorf("tag does not exist: %s", name)
		}
		if err == nil {
			d, err = p.image(ctx, c, i, name)
		}
		return err
	})
	return d, err
}

// image sends blobs, then the manifest that refers to them.
func (p *puller) image(ctx context.Context, c *registry.Client, i *Image, name string) (d digest.Digest, err error) {
	repository := repositoryOf(name)
	tag := name[len(repository)+1:]
	sources, err := p.sources(i, repository)
	if err != nil {
		return "", err
	}
	from := slices.Concat(slices.Collect(maps.Values(sources))...)
	slices.Sort(from)
	if p.remote, err = c.Target(ctx, repository, slices.Compact(from)...); err != nil {
		return "", err
	}
	defer p.remote.Close()
	ids := i.Layers()
	for _, id := range slices.Backward(ids) {
		p.tell(id.Encoded()[:12], "Preparing", 0, 0)
	}
	for n := len(ids) - uploads - 1; n >= 0; n-- {
		p.tell(ids[n].Encoded()[:12], "Waiting", 0, 0)
	}
	if len(i.Digests) == 0 {
		if i, err = p.compressed(ctx, i); err != nil {
			return "", err
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
	if err = group.Wait(); err == nil {
		err = p.send(ctx, i.Manifest.Config, "", nil)
	}
	if err != nil {
		return "", err
	}
	mediaType, original := p.original(i)
	data, err := os.ReadFile(p.blob(original))
	if err == nil {
		err = p.remote.PutManifest(ctx, tag, mediaType, data)
	}
	if err != nil {
		return "", err
	}
	err = p.update(func(index *ocispec.Index) error {
		setName(index, i.Descriptor, repository+"@"+string(original))
		return nil
	})
	p.say(Progress{Status: fmt.Sprintf("%s: digest: %s size: %d", tag, original, len(data))})
	return original, err
}

// original is the manifest by which an image was pulled or pushed, perhaps one of
// Docker's, so that it keeps its digest: the layout's own has the same blobs.
func (s *Store) original(i *Image) (mediaType string, d digest.Digest) {
	for _, root := range i.originals() {
		for _, d := range s.reach(root, false) {
			var m ocispec.Manifest
			same := func(a, b ocispec.Descriptor) bool { return a.Digest == b.Digest }
			if slices.Contains(i.blobs()[1:], d) || s.readBlob(d, &m) != nil || m.Config.Digest != i.ID {
				continue
			}
			if slices.EqualFunc(m.Layers, i.Manifest.Layers, same) {
				return cmp.Or(m.MediaType, ocispec.MediaTypeImageManifest), d
			}
		}
	}
	return ocispec.MediaTypeImageManifest, i.Descriptor.Digest
}

// sources gives, by a layer's blob, the other repositories of the same registry that
// have it, as far as one knows by what was pulled from there or pushed.
func (p *puller) sources(i *Image, repository string) (map[digest.Digest][]string, error) {
	all, err := p.List()
	sources := map[digest.Digest][]string{}
	host, _, _ := strings.Cut(fullName(repository), "/")
	for _, other := range all {
		for _, name := range other.Digests {
			path, here := strings.CutPrefix(fullName(repositoryOf(name)), host+"/")
			for _, l := range other.Manifest.Layers {
				if here && repositoryOf(name) != repository && len(sources[l.Digest]) < 3 && slices.Contains(i.blobs(), l.Digest) {
					sources[l.Digest] = append(sources[l.Digest], path)
				}
			}
		}
	}
	return sources, err
}

// send makes sure that the registry has a blob. id is that of its layer, "" of a config.
func (p *puller) send(ctx context.Context, d ocispec.Descriptor, id string, sources []string) error {
	if len(d.URLs) > 0 {
		p.tell(id, "Skipped foreign layer", 0, 0)
		return nil
	}
	existed, mounted, err := p.remote.Send(ctx, registry.Upload{Descriptor: d, Open: func() (io.ReadCloser, error) {
		file, err := os.Open(p.blob(d.Digest))
		if err != nil {
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{p.metered(ctx, file, id, "Pushing", d.Size), file}, nil
	}}, sources)
	switch {
	case err != nil:
	case existed:
		p.tell(id, "Layer already exists", 0, 0)
	case mounted != "":
		p.tell(id, "Mounted from "+mounted, 0, 0)
	default:
		p.tell(id, "Pushed", 0, 0)
	}
	return err
}

// compressed gives an image a manifest whose layers are all compressed in a way that
// every registry's clients know, and stores it.
func (p *puller) compressed(ctx context.Context, i *Image) (*Image, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(transfers)
	layers := slices.Clone(i.Manifest.Layers)
	same := true
	for n, l := range layers {
		if l.MediaType == ocispec.MediaTypeImageLayerGzip || l.MediaType == ocispec.MediaTypeImageLayerZstd {
			continue
		}
		same = false
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
