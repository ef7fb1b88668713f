package image

import (
	"cmp"
	"fmt"
	"strings"
)

// PlatformError says that an image is for another platform. It matches ErrNotFound: the right one may be pulled.
type PlatformError struct{ Ref, Wanted, Actual string }

func (e *PlatformError) Error() string {
	return fmt.Sprintf("image with reference %s was found but does not match the specified platform: wanted %s, actual: %s", e.Ref, e.Wanted, e.Actual)
}

func (e *PlatformError) Is(target error) bool { return target == ErrNotFound }

// CheckPlatform refuses an image, called ref by the user, that is not for the
// platform wanted, as os[/arch[/variant]] or arch; "" wants none.
func (i *Image) CheckPlatform(wanted, ref string) error {
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
	actual := []string{cmp.Or(i.Config.OS, "linux"), i.Config.Architecture, i.Config.Variant}
	for n, part := range parts {
		// v8 is what every arm64 is.
		if part != actual[n] && !(n == 2 && actual[n] == "" && part == "v8") {
			return &PlatformError{Ref: ref, Wanted: strings.Join(parts, "/"), Actual: strings.TrimSuffix(strings.Join(actual, "/"), "/")}
		}
	}
	return nil
}
