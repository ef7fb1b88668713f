// First version: what many tutorials begin with. It runs a command, and loses its
// words, its signals and its exit status.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

func main() {
	if len(os.Args) < 3 || os.Args[1] != "run" {
		fmt.Fprintln(os.Stderr, "usage: first0 run COMMAND [ARGUMENT...]")
		os.Exit(1)
	}
	command := exec.Command("sh", "-c", strings.Join(os.Args[2:], " "))
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := command.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "first0:", err)
		os.Exit(1)
	}
}
