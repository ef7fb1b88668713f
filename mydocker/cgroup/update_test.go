package cgroup

import (
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestUpdateUndoes(t *testing.T) {
	g := newGroup(t)
	low, high := int64(24<<20), int64(64<<20)
	if err := g.Create(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &low, Swap: &low}, CPU: &specs.LinuxCPU{Quota: ptr[int64](20_000)}}); err != nil {
		t.Fatal(err)
	}
	// Memory comes first and is taken, the list of nodes is not.
	_, err := g.Update(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &high, Swap: &high}, CPU: &specs.LinuxCPU{Mems: "999"}})
	if s, _ := g.Stats(); err == nil || s.MemoryLimit != uint64(low) {
		t.Errorf("refused: %v, limit %d, want %d", err, s.MemoryLimit, low)
	}
	undo, err := g.Update(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &high, Swap: &high}})
	if s, _ := g.Stats(); err != nil || s.MemoryLimit != uint64(high) {
		t.Errorf("%v, limit %d, want %d", err, s.MemoryLimit, high)
	}
	undo()
	if s, _ := g.Stats(); s.MemoryLimit != uint64(low) {
		t.Errorf("undone: limit %d, want %d", s.MemoryLimit, low)
	}
	// A period alone keeps the quota.
	if _, err := g.Update(&specs.LinuxResources{CPU: &specs.LinuxCPU{Period: ptr[uint64](50_000)}}); err != nil {
		t.Fatal(err)
	}
	var quota uint64
	if g.read(&quota, "cpu.cfs_quota_us", "cpu.max"); quota != 20_000 && quota != 70_000 { // version 2's: with the period
		t.Errorf("quota %d", quota)
	}
}
