// Command labs checks what readers of the book build.
package main

import (
	"fmt"
	"os"

	"minidocker/labs/01-namespaces"
	"minidocker/labs/check"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "probe" {
		fmt.Print(check.Probe)
		return
	}
	e, err := check.NewEngine(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	results, err := check.Run(&namespaces.Lab, e, check.Options{Seed: "x"})
	fmt.Printf("%+v %v\n", results, err)
}
