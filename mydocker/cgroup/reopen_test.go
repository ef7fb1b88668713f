package cgroup

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReopen(t *testing.T) {
	h := &Hierarchies{Version: 1, trees: []hierarchy{{name: "memory", mount: "/m", root: "/"}, {mount: "/u", root: "/"}}}
	own := map[string]string{"memory": "/of/a", "": "/"}
	for _, path := range []string{"/x/y", "x/y", "x"} {
		g, err := h.resolve(path, "id", own)
		if err != nil {
			t.Fatal(err)
		}
		again, err := h.reopen(g.Paths())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(g.Paths(), again.Paths()); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
	if _, err := h.reopen(map[string]string{"": "/u/x"}); err == nil {
		t.Error("reopened without a directory in each hierarchy")
	}
}
