package spec

import (
	"strings"
	"testing"

	api "github.com/moby/moby/api/types/container"
)

func TestUpdate(t *testing.T) {
	type r = api.Resources
	const mb = 1 << 20
	for _, c := range []struct {
		name           string
		before, change r
		want           string // part of the error; "": none
	}{
		{"memory below swap", r{Memory: 64 * mb, MemorySwap: 128 * mb}, r{Memory: 100 * mb}, ""},
		{"memory above swap", r{Memory: 64 * mb, MemorySwap: 128 * mb}, r{Memory: 200 * mb}, "already set memoryswap"},
		{"both", r{Memory: 64 * mb, MemorySwap: 128 * mb}, r{Memory: 200 * mb, MemorySwap: -1}, ""},
		{"swap alone", r{Memory: 64 * mb, MemorySwap: 128 * mb}, r{MemorySwap: 64 * mb}, ""},
		{"swap below memory", r{Memory: 64 * mb, MemorySwap: 128 * mb}, r{MemorySwap: 32 * mb}, "larger than memory limit"},
		{"swap without memory", r{}, r{MemorySwap: 32 * mb}, "always set the Memory limit"},
		{"cpus over quota", r{CPUQuota: 5000}, r{NanoCPUs: 1e9}, "Nano CPUs cannot be updated as CPU Quota"},
		{"cpus over period", r{CPUPeriod: 5000}, r{NanoCPUs: 1e9}, "Nano CPUs cannot be updated as CPU Period"},
		{"quota over cpus", r{NanoCPUs: 1e9}, r{CPUQuota: 5000}, "CPU Quota cannot be updated as NanoCPUs"},
		{"period over cpus", r{NanoCPUs: 1e9}, r{CPUPeriod: 5000}, "CPU Period cannot be updated as NanoCPUs"},
	} {
		before := &api.HostConfig{Resources: c.before}
		u := &api.UpdateConfig{Resources: c.change}
		if err := CheckUpdate(u, Facts{CPUs: "0-1"}); err != nil {
			t.Errorf("%s: check: %v", c.name, err)
		}
		_, err := Update(before, u)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if before.Memory != c.before.Memory || before.MemorySwap != c.before.MemorySwap {
			t.Errorf("%s: changes what was", c.name)
		}
	}
}
