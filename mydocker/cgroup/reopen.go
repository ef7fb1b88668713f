package cgroup

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Reopen returns the group that had these Paths: what another process has resolved is
// not found again by its name, because a relative one begins at the group of who asks.
func Reopen(paths map[string]string) (Group, error) {
	host, err := Host()
	if err != nil {
		return Group{}, err
	}
	return host.reopen(paths)
}

func (h *Hierarchies) reopen(paths map[string]string) (Group, error) {
	path := strings.TrimPrefix(paths[""], h.find("").mount)
	same := !slices.ContainsFunc(h.trees, func(t hierarchy) bool { return paths[t.name] != filepath.Join(t.mount, path) })
	if same {
		return h.Open(path)
	}
	below := &Hierarchies{Version: h.Version, trees: slices.Clone(h.trees)}
	for i, tree := range below.trees {
		dir, ok := strings.CutPrefix(paths[tree.name], tree.mount)
		if !ok {
			return Group{}, fmt.Errorf("the group %s had none in the hierarchy at %s", path, tree.mount)
		}
		below.trees[i] = tree.at(dir)
	}
	return Group{host: below, path: "/"}, nil
}
