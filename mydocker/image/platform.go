package image

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// PlatformError says that an image is for another platform. It matches ErrNotFound: the right one may be pulled.
type PlatformError struct{ Ref, Wanted, Actual string }

func (e *PlatformError) Error() string {
	return fmt.Sprintf("image with reference %s was found but does not match the specified platform: wanted %s, actual: %s", e.Ref, e.Wanted, e.Actual)
}

func (e *PlatformError) Is(target error) bool { return target == ErrNotFound }

// parsePlatform reads os[/arch[/variant]] or arch. The architecture that is not
// given is this machine's.
func parsePlatform(text string) (p ocispec.Platform, err error) {
	aliases := strings.NewReplacer("x86_64", "amd64", "x86-64", "amd64", "aarch64", "arm64")
	parts := strings.Split(aliases.Replace(strings.ToLower(text)), "/")
	if len(parts) == 1 && parts[0] != "linux" && parts[0] != "windows" {
		if parts[0] != "" && !slices.Contains(strings.Fields(architectures), parts[0]) {
			return p, fmt.Errorf("%q: unknown operating system or architecture: invalid argument", text)
		}
		parts = []string{"linux", parts[0]}
	}
	if len(parts) > 3 {
		return p, fmt.Errorf("%q: cannot parse platform specifier: invalid argument", text)
	}
	parts = append(parts, "", "")
	return ocispec.Platform{OS: parts[0], Architecture: cmp.Or(parts[1], runtime.GOARCH), Variant: parts[2]}, nil
}

// architectures are Go's names of those that Linux images are made for.
const architectures = "386 amd64 arm arm64 loong64 mips mipsle mips64 mips64le ppc64 ppc64le riscv64 s390x"

func platformText(p ocispec.Platform) string {
	return strings.TrimRight(p.OS+"/"+p.Architecture+"/"+p.Variant, "/")
}

// variant of an architecture that has more than one; what is not said is the usual one.
func variant(p ocispec.Platform) string {
	usual := map[string]string{"arm": "v7", "arm64": "v8", "amd64": "v1"}
	return cmp.Or(p.Variant, usual[p.Architecture])
}

// bestMatch is the entry of an index whose platform a machine of the wanted one can
// run and that uses most of it, nil: there is none. What says no platform comes last.
func bestMatch(list []ocispec.Descriptor, wanted ocispec.Platform) (best *ocispec.Descriptor) {
	for n, d := range list {
		p := d.Platform
		if p == nil && best == nil {
			best = &list[n]
		}
		if p == nil || p.OS != wanted.OS || p.Architecture != wanted.Architecture || variant(*p) > variant(wanted) {
			continue
		}
		if best == nil || best.Platform == nil || variant(*p) > variant(*best.Platform) {
			best = &list[n]
		}
	}
	return best
}

// CheckPlatform refuses an image, called ref by the user, that is not for the
// platform wanted, as os[/arch[/variant]] or arch; "" wants none.
func (i *Image) CheckPlatform(wanted, ref string) error {
	err := matchPlatform(wanted, i.Config.Platform)
	var other *PlatformError
	if errors.As(err, &other) {
		other.Ref = ref
	}
	return err
}

func matchPlatform(wanted string, actual ocispec.Platform) error {
	if wanted == "" {
		return nil
	}
	p, err := parsePlatform(wanted)
	if err != nil {
		return err
	}
	actual.OS = cmp.Or(actual.OS, "linux")
	if p.OS != actual.OS || p.Architecture != actual.Architecture || p.Variant != "" && variant(p) != variant(actual) {
		return &PlatformError{Wanted: platformText(p), Actual: platformText(actual)}
	}
	return nil
}
