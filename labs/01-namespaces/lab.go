// Package namespaces is lab 1: an engine that runs a command in namespaces of its own.
package namespaces

import "minidocker/labs/check"

// Lab is lab 1.
var Lab = check.Lab{
	Number:  1,
	Name:    "01-namespaces",
	Title:   "Namespaces",
	Grammar: []string{"run [--hostname NAME] COMMAND [ARGUMENT...]"},
	Checks: []check.Check{
		argvVector, exitStatus, signals, descriptors, // a process
		hostname, pid, mounts, proc, ipc, network, orphans, // in namespaces
	},
	Mutants: mutants,
	Before: map[string]check.Verdict{
		"descriptors": check.Failed, // of what its caller has open it keeps what has no O_CLOEXEC
		"hostname":    check.Failed,
		"pid":         check.Failed,
		"mounts":      check.Failed,
		"proc":        check.Blocked,
		"ipc":         check.Failed,
		"network":     check.Failed,
		"orphans":     check.Blocked,
	},
}

const (
	theIdea   = "chapters/01-namespaces/README.md#the-idea"
	byHand    = "chapters/01-namespaces/README.md#try-it-by-hand"
	goesWrong = "chapters/01-namespaces/README.md#what-goes-wrong"
	ours      = "chapters/01-namespaces/README.md#what-ours-adds"
	before    = "chapters/00-what-is-a-container/README.md#what-goes-wrong"
)

// needsWords is what a check of a container needs: that there is one.
var needsWords = []string{"argv-vector"}
