package engine

import (
	"strings"
	"testing"

	"minidocker/mydocker/cgroup"

	api "github.com/moby/moby/api/types/container"
)

// What version 2 of cgroups does not have is discarded with a warning, not kept in
// the record as if it were in force.
func TestDiscardedOnV2(t *testing.T) {
	for version, want := range map[int]int{1: 0, 2: 2} {
		host := &api.HostConfig{Resources: api.Resources{Memory: 64 << 20, MemorySwappiness: new(int64(50)), OomKillDisable: new(true)}}
		warnings, err := new(Engine).settleModes(host, &cgroup.Hierarchies{Version: version})
		if err != nil || len(warnings) != want {
			t.Errorf("version %d: %v %q", version, err, warnings)
		}
		if gone := host.MemorySwappiness == nil && host.OomKillDisable == nil; gone != (want > 0) {
			t.Errorf("version %d: %v %v", version, host.MemorySwappiness, host.OomKillDisable)
		}
		for _, warning := range warnings {
			if !strings.HasPrefix(warning, "Your kernel does not support ") {
				t.Error(warning)
			}
		}
	}
}
