package namespaces

import "minidocker/labs/check"

const stage = "chapters/01-namespaces/main.go"

// mutants are mistakes that readers make, most of them those of "What goes wrong".
var mutants = []check.Mutant{
	{
		Name:  "joins the words, and a shell splits them",
		File:  stage,
		Old:   `err = syscall.Exec(path, o.Command, os.Environ())`,
		New:   `line := fmt.Sprint(o.Command); err = syscall.Exec("/bin/sh", []string{"sh", "-c", line[1 : len(line)-1]}, os.Environ())`,
		Fails: "argv-vector",
		May: []string{"exit-status", "signals", "descriptors", "hostname", "pid", "mounts", "proc", "ipc", "network",
			"orphans", "leftovers"},
	},
	{
		Name:  "masks the exit status",
		File:  stage,
		Old:   `return state.ExitCode()`,
		New:   `return min(state.ExitCode(), 1)`,
		Fails: "exit-status",
		May:   []string{"signals"},
	},
	{
		Name:  "exits with the signal's number alone",
		File:  stage,
		Old:   `return 128 + int(ended.Signal())`,
		New:   `return int(ended.Signal())`,
		Fails: "exit-status",
	},
	{
		Name:  "ignores SIGTERM",
		File:  stage,
		Old:   `go passOn(signals, socket, init.Process)`,
		New:   `signal.Ignore(syscall.SIGTERM); go passOn(signals, socket, init.Process)`,
		Fails: "signals",
	},
	{
		Name:  "leaves a descriptor open",
		File:  stage,
		Old:   `unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)`,
		New:   `unix.CloseRange(3, 4, unix.CLOSE_RANGE_CLOEXEC)`,
		Fails: "descriptors",
	},
	{
		Name:  "leaves the host name as it is",
		File:  stage,
		Old:   `unix.Sethostname([]byte(o.Hostname))`,
		New:   `error(nil)`,
		Fails: "hostname",
	},
	{
		Name:  "starts the command as a child, and stays process 1 itself",
		File:  stage,
		Old:   `err = syscall.Exec(path, o.Command, os.Environ())`,
		New:   `command := exec.Command(path, o.Command[1:]...); command.Run(); os.Exit(exitStatus(command.ProcessState))`,
		Fails: "pid",
		May:   []string{"signals", "proc", "orphans"},
	},
	{
		Name:  "leaves the mounts shared with the host", // which hides the host's /proc: no second run then
		File:  stage,
		Old:   `unix.MS_REC|unix.MS_PRIVATE`,
		New:   `unix.MS_REC|unix.MS_SHARED`,
		Fails: "mounts",
		May:   []string{"exit-status", "signals", "hostname", "proc", "leftovers"},
	},
	{
		Name:  "makes / private, and not what is mounted below",
		File:  stage,
		Old:   `unix.MS_REC|unix.MS_PRIVATE`,
		New:   `unix.MS_PRIVATE`,
		Fails: "mounts",
		May:   []string{"exit-status", "signals", "hostname", "proc", "leftovers"},
	},
	{
		Name:  "mounts no proc",
		File:  stage,
		Old:   `unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")`,
		New:   `error(nil)`,
		Fails: "proc",
	},
	{
		Name:  "forgets the IPC namespace",
		File:  stage,
		Old:   `{Type: specs.IPCNamespace}, `,
		New:   ``,
		Fails: "ipc",
	},
	{
		Name:  "forgets the network namespace",
		File:  stage,
		Old:   `, {Type: specs.NetworkNamespace},`,
		New:   `,`,
		Fails: "network",
	},
}
