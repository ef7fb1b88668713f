package image

import (
	"errors"
	"strings"
	"testing"
)

func TestParseName(t *testing.T) {
	digest := "@sha256:" + strings.Repeat("0", 64)
	for text, want := range map[string]Name{
		"busybox":                   {"busybox:latest", "busybox", "docker.io/library/busybox:latest", "docker.io/library/busybox", false},
		"docker.io/busybox:1":       {"busybox:1", "busybox", "docker.io/library/busybox:1", "docker.io/library/busybox", true},
		"a/b":                       {"a/b:latest", "a/b", "docker.io/a/b:latest", "docker.io/a/b", false},
		"localhost/b":               {"localhost/b:latest", "localhost/b", "localhost/b:latest", "localhost/b", false},
		"r.example:5000/a/b":        {"r.example:5000/a/b:latest", "r.example:5000/a/b", "r.example:5000/a/b:latest", "r.example:5000/a/b", false},
		"r.example:5000/a/b:v1":     {"r.example:5000/a/b:v1", "r.example:5000/a/b", "r.example:5000/a/b:v1", "r.example:5000/a/b", true},
		"Host/b":                    {"Host/b:latest", "Host/b", "Host/b:latest", "Host/b", false},
		"busybox" + digest:          {"busybox" + digest, "busybox", "docker.io/library/busybox" + digest, "docker.io/library/busybox", true},
		"[fd00::1]:5000/b" + digest: {"[fd00::1]:5000/b" + digest, "[fd00::1]:5000/b", "[fd00::1]:5000/b" + digest, "[fd00::1]:5000/b", true},
	} {
		if got, err := ParseName(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "A", "a:", "a//b", strings.Repeat("0", 64)} {
		if _, err := ParseName(text); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
