package container

import (
	"path/filepath"

	"minidocker/mydocker/overlay"
)

// Layers describes the container's root file system.
func (s *Store) Layers(r *Record) overlay.Mount {
	m := overlay.Mount{Upper: s.file(r.ID, "rw/upper"), Work: s.file(r.ID, "rw/work")}
	for _, layer := range r.Layers {
		m.Lower = append(m.Lower, filepath.Join(s.root, layer))
	}
	return m
}
