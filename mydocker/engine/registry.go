package engine

import (
	"context"

	"minidocker/mydocker/image"
	"minidocker/mydocker/image/registry"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/moby/moby/api/types/events"
	registryapi "github.com/moby/moby/api/types/registry"
)

// registry is a client with the credentials that `docker login` and ours keep.
func (e *Engine) registry() *registry.Client {
	return registry.New(registry.Options{
		Mirrors:  e.config.RegistryMirrors,
		Insecure: e.config.InsecureRegistries,
		CertDirs: []string{"/etc/docker/certs.d", "/etc/containers/certs.d", "/etc/mydocker/certs.d"},
		Keychain: authn.DefaultKeychain,
	})
}

// Pull fetches an image from its registry.
func (e *Engine) Pull(ctx context.Context, ref string, o image.PullOptions) error {
	pulled, err := e.images.Pull(ctx, e.registry(), ref, o)
	if err == nil {
		e.registryEvent(events.ActionPull, pulled.Name)
	}
	return err
}

// Push sends the image of a name to the registry of that name.
func (e *Engine) Push(ctx context.Context, ref string, o image.PushOptions) error {
	pushed, err := e.images.Push(ctx, e.registry(), ref, o)
	if err == nil {
		e.registryEvent(events.ActionPush, pushed.Name)
	}
	return err
}

// registryEvent has as ID the reference, and as name the repository.
func (e *Engine) registryEvent(action events.Action, ref string) {
	n, _ := image.ParseName(ref) // it was pulled or pushed
	e.imageEvent(action, ref, n.Repository, nil)
}

// Login checks credentials with a registry ("": docker.io). token, if not empty, is
// to be kept instead of the password.
func (e *Engine) Login(ctx context.Context, server, user, password string) (token string, err error) {
	return e.registry().Login(ctx, server, user, password)
}

// Search looks for repositories at docker.io, or at the host that term begins with.
func (e *Engine) Search(ctx context.Context, term string, limit int, filters map[string][]string) ([]registryapi.SearchResult, error) {
	return e.registry().Search(ctx, term, limit, filters)
}
