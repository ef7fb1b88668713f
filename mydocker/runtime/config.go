package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"minidocker/mydocker/rootfs"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Config is a specification as JSON knows it: the sections for other systems are hidden
// behind fields of the same names. What encoding/json makes ready for a type, it makes ready
// for all that the type can hold, in each process anew, and keeps it: a third of that was for these.
type Config struct {
	*specs.Spec
	Solaris *struct{} `json:"solaris,omitempty"`
	Windows *struct{} `json:"windows,omitempty"`
	VM      *struct{} `json:"vm,omitempty"`
	ZOS     *struct{} `json:"zos,omitempty"`
	FreeBSD *struct{} `json:"freebsd,omitempty"`
}

var errPlatform = errors.New("specification: a section for another platform than linux")

// Load reads a bundle's config.json (OCI runtime specification, bundle.md). The
// path of its root becomes absolute, as do the sources of bind mounts.
func Load(bundle string) (*specs.Spec, error) {
	path := filepath.Join(bundle, "config.json")
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read bundle: %w", err)
	}
	spec := Config{Spec: &specs.Spec{}}
	if err := json.Unmarshal(data, &spec); err != nil {
		return nil, fmt.Errorf("read bundle %s: %w", path, err)
	}
	if spec.Solaris != nil || spec.Windows != nil || spec.VM != nil || spec.ZOS != nil || spec.FreeBSD != nil {
		return nil, errPlatform
	}
	if spec.Root != nil && spec.Root.Path != "" && !filepath.IsAbs(spec.Root.Path) {
		spec.Root.Path = filepath.Join(bundle, spec.Root.Path)
	}
	for i := range spec.Mounts {
		if m := &spec.Mounts[i]; rootfs.IsBind(*m) && !filepath.IsAbs(m.Source) {
			m.Source = filepath.Join(bundle, m.Source)
		}
	}
	return spec.Spec, nil
}
