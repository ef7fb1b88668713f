package image

import (
	"cmp"
	"fmt"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// CheckPlatform refuses an image, called ref by the user, that is not for the
// platform wanted, as os[/arch[/variant]] or arch; "" wants none.
func (i *Image) CheckPlatform(wanted, ref string) error {
	if err := matchPlatform(wanted, i.Config.Platform); err != nil {
		return fmt.Errorf("image with reference %s was found but does not match the specified platform: %w", ref, err)
	}
	return nil
}

func matchPlatform(wanted string, p ocispec.Platform) error {
	if wanted == "" {
		return nil
	}
	aliases := strings.NewReplacer("x86_64", "amd64", "x86-64", "amd64", "aarch64", "arm64")
	parts := strings.Split(aliases.Replace(strings.ToLower(wanted)), "/")
	if len(parts) == 1 && parts[0] != "linux" { // an architecture alone
		parts = []string{"linux", parts[0]}
	}
	if len(parts) > 3 {
		return fmt.Errorf("%q: platform must be os[/arch[/variant]]", wanted)
	}
	actual := []string{cmp.Or(p.OS, "linux"), p.Architecture, p.Variant}
	for n, part := range parts {
		// v8 is what every arm64 is.
		if part != actual[n] && !(n == 2 && actual[n] == "" && part == "v8") {
			return fmt.Errorf("wanted %s, actual: %s", strings.Join(parts, "/"), strings.TrimSuffix(strings.Join(actual, "/"), "/"))
		}
	}
	return nil
}
