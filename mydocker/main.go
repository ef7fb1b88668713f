// Command mydocker is a container engine in one binary. Which of its roles a
// process plays its first argument says:
//
//	init     inside the container, until it becomes the container's command
//	monitor  beside the container, for its whole life
//	oci      a runtime for other engines, with the command line of runc
//	other    the command line
//
// and before that its name: as docker-init it is pid 1 of a container with --init,
// as mydocker-runc the same as oci.
package main

import (
	"os"
	"path/filepath"

	"minidocker/mydocker/cli"
	"minidocker/mydocker/monitor"
	"minidocker/mydocker/oci"
	"minidocker/mydocker/runtime"
)

func main() {
	switch filepath.Base(os.Args[0]) {
	case "docker-init":
		os.Exit(runtime.Supervise(os.Args[1:]))
	case "mydocker-runc":
		os.Exit(oci.Main(os.Args[1:]))
	}
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "init":
			runtime.Init()
		case "monitor":
			os.Exit(monitor.Run(os.Args[2:]))
		case "oci":
			os.Exit(oci.Main(os.Args[2:]))
		}
	}
	os.Exit(cli.Main(os.Args))
}
