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
		hostname,
	},
}
