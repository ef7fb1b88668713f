package spec

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestMergeCommand(t *testing.T) {
	none, list := []string(nil), func(s ...string) []string { return s }
	for _, test := range []struct {
		name                         string
		entrypoint, cmd, imageE, imC []string
		want                         []string
	}{
		{"the image's", none, none, list("e"), list("c"), list("e", "c")},
		{"a command replaces the image's", none, list("x", "y"), list("e"), list("c"), list("e", "x", "y")},
		{"an entrypoint voids the image's command", list("x"), none, list("e"), list("c"), list("x")},
		{"both", list("x"), list("y"), list("e"), list("c"), list("x", "y")},
		{"an empty entrypoint removes the image's", list(""), list("y"), list("e"), list("c"), list("y")},
		{"and its command", list(""), none, list("e"), list("c"), none},
		{"an empty list too, but not its command", []string{}, none, list("e"), list("c"), list("c")},
		{"nothing at all", none, none, none, none, none},
	} {
		config := &api.Config{Entrypoint: test.entrypoint, Cmd: test.cmd}
		image := &dockerspec.DockerOCIImageConfig{ImageConfig: ocispec.ImageConfig{Entrypoint: test.imageE, Cmd: test.imC}}
		err := Merge(config, image)
		if (test.want == nil) != errors.Is(err, ErrNoCommand) {
			t.Errorf("%s: error %v", test.name, err)
		}
		got, _ := Command(config)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}

func TestMerge(t *testing.T) {
	check := func(command string) *dockerspec.HealthcheckConfig {
		return &dockerspec.HealthcheckConfig{Test: []string{"CMD", command}, Retries: 3}
	}
	image := &dockerspec.DockerOCIImageConfig{
		ImageConfig: ocispec.ImageConfig{
			User: "image", WorkingDir: "/image", StopSignal: "SIGINT", Cmd: []string{"c"},
			Env:          []string{"PATH=/image", "ONLY=image", "BOTH=image"},
			Labels:       map[string]string{"only": "image", "both": "image"},
			Volumes:      map[string]struct{}{"/image": {}},
			ExposedPorts: map[string]struct{}{"80/tcp": {}},
		},
		DockerOCIImageConfigExt: dockerspec.DockerOCIImageConfigExt{Healthcheck: check("image")},
	}
	config := &api.Config{
		User: "user", Env: []string{"BOTH=user", "PATH"}, Labels: map[string]string{"both": "user"},
		ExposedPorts: network.PortSet{network.MustParsePort("53/udp"): {}},
		Volumes:      map[string]struct{}{"/user": {}},
		Healthcheck:  &api.HealthConfig{Test: []string{"CMD", "user"}},
	}
	if err := Merge(config, image); err != nil {
		t.Fatal(err)
	}
	want := &api.Config{
		User: "user", WorkingDir: "/image", StopSignal: "SIGINT", Cmd: []string{"c"},
		Env:          []string{"BOTH=user", "PATH", "ONLY=image"},
		Labels:       map[string]string{"only": "image", "both": "user"},
		Volumes:      map[string]struct{}{"/image": {}, "/user": {}},
		ExposedPorts: network.PortSet{network.MustParsePort("53/udp"): {}, network.MustParsePort("80/tcp"): {}},
		Healthcheck:  &api.HealthConfig{Test: []string{"CMD", "user"}, Retries: 3},
	}
	if diff := cmp.Diff(want, config, cmpopts.EquateEmpty(), cmpopts.EquateComparable(network.Port{})); diff != "" {
		t.Error(diff)
	}
}

func TestEnvironment(t *testing.T) {
	config := &api.Config{Env: []string{"A=1=2", "B=", "HOSTNAME", "PATH=/bin", "A=3"}}
	got := environment(config, "host", "/home", true, []string{"B", "C=x"})
	if diff := cmp.Diff([]string{"PATH=/bin", "TERM=xterm", "A=3", "C=x", "HOME=/home"}, got); diff != "" {
		t.Error(diff)
	}
}
