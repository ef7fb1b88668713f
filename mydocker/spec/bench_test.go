package spec

import (
	"testing"

	api "github.com/moby/moby/api/types/container"
)

func BenchmarkBuild(b *testing.B) {
	config, host := &api.Config{Cmd: []string{"true"}}, &api.HostConfig{}
	facts := Facts{Capabilities: allCapabilities(), CPUs: "0-7"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Build(config, host, facts); err != nil {
			b.Fatal(err)
		}
	}
}
