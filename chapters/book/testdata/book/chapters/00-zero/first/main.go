// First version.
package main

import (
	"os"

	"golang.org/x/sys/unix"
)

func main() { os.Exit(unix.Getpid()) }
