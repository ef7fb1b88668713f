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
		check.Leftovers(chapter+"a-dead-container-that-counts-as-running",
			"Your engine has ended, and something it made has not. The report names it.",
			"What belongs to namespaces goes with their last process. What is left was made outside of them, or a process lives on.",
			"Wait for the process that you cloned (Wait), in all cases, before the engine ends. Mount only in the child, after / was made private.",
		),
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
		"leftovers":   check.Failed, // children of a command that was killed
	},
}

const chapter = "chapters/01-namespaces/README.md#"

// needsWords is what a check of a container needs: that there is one.
var needsWords = []string{"argv-vector"}
