package image

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

type set = map[string]struct{}

func TestChange(t *testing.T) {
	for _, c := range []struct {
		changes []string
		want    dockerspec.DockerOCIImageConfig
	}{
		{[]string{`CMD ["a", "b c"]`}, config(ocispec.ImageConfig{Cmd: []string{"a", "b c"}})},
		{[]string{`cmd a "b c" $X`}, config(ocispec.ImageConfig{Cmd: []string{"/bin/sh", "-c", `a "b c" $X`}})},
		{[]string{`CMD ['a']`}, config(ocispec.ImageConfig{Cmd: []string{"/bin/sh", "-c", `['a']`}})},
		{[]string{`CMD x`, `ENTRYPOINT ["e"]`}, config(ocispec.ImageConfig{Cmd: []string{"/bin/sh", "-c", "x"}, Entrypoint: []string{"e"}})},
		{[]string{`CMD x`, `ENTRYPOINT []`}, config(ocispec.ImageConfig{Cmd: []string{"/bin/sh", "-c", "x"}})},
		{[]string{`ENV A=1 B="two words" C=three\ words D='$A'`, `ENV E=$A/${B} F=${NO:-d} G=${A:+set} H=\$A A=2`, `ENV I=$A`},
			config(ocispec.ImageConfig{Env: []string{"A=2", "B=two words", "C=three words", "D=$A", "E=1/two words", "F=d", "G=set", "H=$A", "I=2"}})},
		{[]string{`ENV A b  c "d"`}, config(ocispec.ImageConfig{Env: []string{"A=b  c d"}})},
		{[]string{"ENV A=1 \\\n  B=2", "# comment", "", "USER me"}, config(ocispec.ImageConfig{Env: []string{"A=1", "B=2"}, User: "me"})},
		{[]string{`LABEL a=1 "b c"="d e"`, `LABEL f=`}, config(ocispec.ImageConfig{Labels: map[string]string{"a": "1", "b c": "d e", "f": ""}})},
		{[]string{`ENV P=90`, `EXPOSE 80 53/UDP 8000-8002 $P`}, config(ocispec.ImageConfig{Env: []string{"P=90"},
			ExposedPorts: set{"80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {}, "8002/tcp": {}, "90/tcp": {}}})},
		{[]string{`VOLUME /a /b`, `VOLUME ["/c d"]`}, config(ocispec.ImageConfig{Volumes: set{"/a": {}, "/b": {}, "/c d": {}}})},
		{[]string{`WORKDIR /a`, `WORKDIR b/../c`, `STOPSIGNAL SIGINT`, `USER 1:2`}, config(ocispec.ImageConfig{WorkingDir: "/a/c", StopSignal: "SIGINT", User: "1:2"})},
		{[]string{`ONBUILD RUN make`}, extended(dockerspec.DockerOCIImageConfigExt{OnBuild: []string{"RUN make"}})},
		{[]string{`HEALTHCHECK --interval=5s --retries=3 CMD curl x`}, extended(dockerspec.DockerOCIImageConfigExt{
			Healthcheck: &dockerspec.HealthcheckConfig{Test: []string{"CMD-SHELL", "curl x"}, Interval: 5 * time.Second, Retries: 3}})},
		{[]string{`HEALTHCHECK CMD ["a"]`}, extended(dockerspec.DockerOCIImageConfigExt{Healthcheck: &dockerspec.HealthcheckConfig{Test: []string{"CMD", "a"}}})},
		{[]string{`HEALTHCHECK NONE`}, extended(dockerspec.DockerOCIImageConfigExt{Healthcheck: &dockerspec.HealthcheckConfig{Test: []string{"NONE"}}})},
	} {
		var got dockerspec.DockerOCIImageConfig
		if err := Change(&got, c.changes); err != nil {
			t.Errorf("%q: %v", c.changes, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%q: %s", c.changes, diff)
		}
	}
}

func config(c ocispec.ImageConfig) dockerspec.DockerOCIImageConfig {
	return dockerspec.DockerOCIImageConfig{ImageConfig: c}
}

func extended(c dockerspec.DockerOCIImageConfigExt) dockerspec.DockerOCIImageConfig {
	return dockerspec.DockerOCIImageConfig{DockerOCIImageConfigExt: c}
}

func TestChangeErrors(t *testing.T) {
	for _, change := range []string{
		"RUN x", "FROM x", "ENV", "ENV A", "ENV A=1 B", "ENV =x", "ENV A=\"x", "ENV A=${", "ENV A=${B?x}", "LABEL a", "EXPOSE x", "EXPOSE 80/foo",
		"EXPOSE 9-8", "EXPOSE 70000", "ONBUILD ONBUILD x", "ONBUILD FROM x", "HEALTHCHECK x", "HEALTHCHECK CMD", "HEALTHCHECK NONE x",
		"HEALTHCHECK --foo=1 CMD x", "HEALTHCHECK --interval=x CMD x", `VOLUME [""]`,
	} {
		var c dockerspec.DockerOCIImageConfig
		if err := Change(&c, []string{change}); err == nil {
			t.Errorf("%s: no error", change)
		}
	}
}
