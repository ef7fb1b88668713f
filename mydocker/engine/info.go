package engine

import "github.com/moby/moby/api/types/system"

func (e *Engine) Info() (system.Info, error)               { return system.Info{}, nil }
func (e *Engine) Version() (system.VersionResponse, error) { return system.VersionResponse{}, nil }

type Finding struct {
	Name   string
	OK     bool
	Fatal  bool // without it no container can run
	Detail string
	Fix    string
}

func (e *Engine) Doctor() []Finding { return nil }

// Leak is a thing on the host that belongs to no living container.
type Leak struct {
	Kind     string
	Object   string
	Reason   string
	Repaired bool
}

func (e *Engine) Check(repair bool) ([]Leak, error) { return nil, nil }
