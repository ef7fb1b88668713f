package ipam

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func leases(t *testing.T, dir string) map[string]string {
	t.Helper()
	all, err := Leases(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for subnet, owner := range all {
		names[subnet.String()] = owner.Name
	}
	return names
}

func TestLease(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "host")
	red, blue := Owner{"/a", "1", "red"}, Owner{"/b", "1", "blue"} // one ID, two engines
	if diff := cmp.Diff(map[string]string{}, leases(t, dir)); diff != "" {
		t.Errorf("at first (-want +got)\n%s", diff)
	}
	for range 2 { // again is fine
		if err := Lease(dir, red, prefix("10.1.0.9/24"), prefix("fd00:1::/64")); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ wanted, other string }{
		{"10.1.0.0/24", "10.1.0.0/24"},
		{"10.1.0.128/25", "10.1.0.0/24"},
		{"10.0.0.0/8", "10.1.0.0/24"},
		{"fd00:1::/80", "fd00:1::/64"},
	} {
		err := Lease(dir, blue, prefix("10.9.0.0/24"), prefix(test.wanted))
		var overlap *OverlapError
		if !errors.As(err, &overlap) {
			t.Fatalf("%s: %v", test.wanted, err)
		}
		want := &OverlapError{prefix(test.wanted), prefix(test.other), "blue", red}
		if diff := cmp.Diff(want, overlap, byValue); diff != "" {
			t.Errorf("%s (-want +got)\n%s", test.wanted, diff)
		}
	}
	const text = "Pool overlaps with other one on this address space: 10.1.0.0/30 of network blue with 10.1.0.0/24 of network red in /a"
	if err := Lease(dir, blue, prefix("10.1.0.0/30")); err == nil || err.Error() != text {
		t.Errorf("error %v, want %s", err, text)
	}
	if diff := cmp.Diff(map[string]string{"10.1.0.0/24": "red", "fd00:1::/64": "red"}, leases(t, dir)); diff != "" {
		t.Errorf("a refused lease left something (-want +got)\n%s", diff)
	}
	if err := Lease(dir, blue, prefix("10.1.1.0/24")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Release(dir, "/a", "1"); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[string]string{"10.1.1.0/24": "blue"}, leases(t, dir)); diff != "" {
		t.Errorf("after release (-want +got)\n%s", diff)
	}
}

// TestDamagedLeases: a file that cannot be read is not taken for one without leases.
func TestDamagedLeases(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "subnets.json"), []byte(`{"10.1.0.0/24`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Lease(dir, Owner{}, prefix("10.1.0.0/24")); err == nil {
		t.Error("leased")
	}
	if _, err := Leases(dir); err == nil {
		t.Error("listed")
	}
}

func TestLeaseFree(t *testing.T) {
	small := []AddressPool{{prefix("10.1.0.0/23"), 24}, {prefix("10.9.0.0/24"), 26}}
	for _, test := range []struct {
		name          string
		pools         []AddressPool
		leased, avoid []string
		want          string
	}{
		{"first", DefaultPools(), nil, nil, "172.17.0.0/16"},
		{"leased", DefaultPools(), []string{"172.17.0.0/16"}, nil, "172.18.0.0/16"},
		{"avoided, in part", DefaultPools(), []string{"172.18.3.0/24"}, []string{"172.17.0.2/32", "fd00::/8"}, "172.19.0.0/16"},
		{"a wide one", DefaultPools(), nil, []string{"172.16.0.0/13"}, "172.24.0.0/16"},
		{"second pool", DefaultPools(), nil, []string{"172.16.0.0/12"}, "192.168.0.0/20"},
		{"its second", DefaultPools(), []string{"192.168.15.0/24"}, []string{"172.16.0.0/12"}, "192.168.16.0/20"},
		{"none", DefaultPools(), []string{"192.168.0.0/16"}, []string{"172.16.0.0/12"}, ""},
		{"own pools", small, []string{"10.1.0.0/24"}, nil, "10.1.1.0/24"},
		{"own second pool", small, []string{"10.1.0.0/24"}, []string{"10.1.1.7/32", "10.9.0.0/25"}, "10.9.0.128/26"},
		{"at the end of all addresses", []AddressPool{{prefix("255.255.255.0/24"), 25}}, []string{"255.255.255.128/25"}, []string{"255.255.255.0/25"}, ""},
		{"IPv6", []AddressPool{{prefix("fd00::/32"), 64}}, []string{"fd00::/64"}, []string{"fd00:0:0:1::1/128"}, "fd00:0:0:2::/64"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, subnet := range test.leased {
				if err := Lease(dir, Owner{"/a", "1", "red"}, prefix(subnet)); err != nil {
					t.Fatal(err)
				}
			}
			var avoid []netip.Prefix
			for _, subnet := range test.avoid {
				avoid = append(avoid, prefix(subnet))
			}
			got, err := LeaseFree(dir, Owner{"/a", "2", "blue"}, test.pools, avoid)
			if test.want == "" {
				if err != ErrNoSubnet || got.IsValid() {
					t.Errorf("%s, %v", got, err)
				}
				return
			}
			if err != nil || got != prefix(test.want) || leases(t, dir)[test.want] != "blue" {
				t.Errorf("%s, %v, want %s", got, err, test.want)
			}
		})
	}
}

// TestLeaseFreeAtOnce: twenty networks made at once get twenty subnets.
func TestLeaseFreeAtOnce(t *testing.T) {
	dir := t.TempDir()
	var mu sync.Mutex
	var group sync.WaitGroup
	owners := map[netip.Prefix]string{}
	for i := range 20 {
		group.Go(func() {
			owner := Owner{"/a", string(rune('a' + i)), string(rune('a' + i))}
			subnet, err := LeaseFree(dir, owner, DefaultPools(), nil)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if other, ok := owners[subnet]; ok {
				t.Errorf("%s for %s and %s", subnet, other, owner.Name)
			}
			owners[subnet] = owner.Name
		})
	}
	group.Wait()
	all, err := Leases(dir)
	if err != nil || len(all) != 20 {
		t.Errorf("%d leases, %v", len(all), err)
	}
}

func TestUniqueLocal(t *testing.T) {
	one, other := UniqueLocal("one"), UniqueLocal("other")
	if one == other || one != UniqueLocal("one") {
		t.Errorf("%s, %s", one, other)
	}
	if one != one.Masked() || one.Bits() != 64 || !prefix("fd00::/8").Overlaps(one) {
		t.Errorf("%s is no /64 of fd00::/8", one)
	}
}

// TestHostRoutes knows of any host that it has a loopback link, in every namespace
// where it is up.
func TestHostRoutes(t *testing.T) {
	found, err := HostRoutes()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(found, prefix("127.0.0.1/32").Overlaps) {
		t.Errorf("loopback is not in %s", found)
	}
	for _, one := range found {
		if !one.IsValid() || one.Bits() < 2 || one != one.Masked() {
			t.Errorf("%s is no destination", one)
		}
	}
}
