package cgroup

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// hugetlbSettings limits huge pages in bytes, for each size of pages. The kernel has a
// limit of pages in use and, since Linux 5.7, one of pages reserved, whose excess is an
// error of mmap(2) and not SIGBUS at the first access: both are set.
func hugetlbSettings(limits []specs.LinuxHugepageLimit) (list []setting, err error) {
	for _, l := range limits {
		digits := strings.TrimRight(l.Pagesize, "KMGB")
		if _, err := strconv.ParseUint(digits, 10, 64); err != nil || !slices.Contains([]string{"KB", "MB", "GB"}, l.Pagesize[len(digits):]) {
			return nil, fmt.Errorf("invalid hugepage size %q: not a number and KB, MB or GB", l.Pagesize)
		}
		limit, name := fmt.Sprint(l.Limit), "hugetlb."+l.Pagesize
		list = append(list,
			setting{v1: entry{name + ".limit_in_bytes", limit}, v2: entry{name + ".max", limit}},
			setting{v1: entry{name + ".rsvd.limit_in_bytes", limit}, v2: entry{name + ".rsvd.max", limit}, or: &setting{}})
	}
	return list, nil
}
