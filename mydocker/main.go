// Command mydocker is a container engine in one binary. Which of its roles a
// process plays its first argument says:
//
//	init     inside the container, until it becomes the container's command
//	monitor  beside the container, for its whole life
//	other    the command line
package main

import (
	"os"

	"minidocker/mydocker/cli"
	"minidocker/mydocker/monitor"
	"minidocker/mydocker/runtime"
)

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "init":
			runtime.Init()
		case "monitor":
			os.Exit(monitor.Run(os.Args[2:]))
		}
	}
	os.Exit(cli.Main(os.Args))
}
