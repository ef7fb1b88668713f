// First version: clone(2) with the namespaces that are asked for.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

var flags = map[string]uintptr{
	"uts": syscall.CLONE_NEWUTS, "pid": syscall.CLONE_NEWPID, "mnt": syscall.CLONE_NEWNS,
	"ipc": syscall.CLONE_NEWIPC, "net": syscall.CLONE_NEWNET, "user": syscall.CLONE_NEWUSER,
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: first1 NAMESPACE[,NAMESPACE...] COMMAND [ARGUMENT...]")
		os.Exit(125)
	}
	attr := &syscall.SysProcAttr{}
	for _, name := range strings.Split(os.Args[1], ",") {
		flag, ok := flags[name]
		if !ok {
			fmt.Fprintf(os.Stderr, "first1: no namespace %q\n", name)
			os.Exit(125)
		}
		attr.Cloneflags |= flag
	}
	if attr.Cloneflags&syscall.CLONE_NEWUSER != 0 {
		// One user of the new namespace is one user here: root there is who runs this.
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	command := exec.Command(os.Args[2], os.Args[3:]...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.SysProcAttr = attr
	err := command.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "first1:", err)
		os.Exit(125)
	}
}
