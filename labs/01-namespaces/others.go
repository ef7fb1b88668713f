package namespaces

import (
	"fmt"
	"slices"
	"strings"

	"minidocker/labs/check"
)

var ipc = check.Check{
	Name:    "ipc",
	Title:   "the container has an IPC namespace of its own",
	Needs:   needsWords,
	Section: chapter + "ipc-queues-and-shared-memory",
	Hints: []string{
		"Shared memory, semaphores and message queues have no path in the file system: a number is enough to reach them. Which namespace holds the numbers?",
		"Compare ipcs on the host with ipcs in the container.",
		"CLONE_NEWIPC is the flag.",
	},
	Explain: []string{
		`readlink /proc/self/ns/ipc /proc/$PID/ns/ipc`,
		`ipcmk -M 4096; ipcs -m; nsenter -t $PID -i ipcs -m    # the host's segment is not in the container (ipcrm -m ID removes it)`,
	},
	Run: func(t *check.Trial) error {
		c, err := t.Start(nil, "wait")
		if err != nil {
			return err
		}
		if err := c.Own("ipc"); err != nil {
			return err
		}
		return c.Release()
	},
}

var network = check.Check{
	Name:    "network",
	Title:   "the container has a network namespace of its own, with nothing in it but lo",
	Needs:   needsWords,
	Section: chapter + "net-the-network",
	Hints: []string{
		"Interfaces, addresses, routes and ports belong to a network namespace. How many interfaces does a new one have?",
		"Chapter 7 connects the container. Until then it has lo alone.",
		"CLONE_NEWNET is the flag.",
	},
	Explain: []string{
		`readlink /proc/self/ns/net /proc/$PID/ns/net`,
		`cat /proc/$PID/net/dev        # the interfaces of its namespace`,
	},
	Run: func(t *check.Trial) error {
		fresh, err := check.NewNetwork()
		if err != nil {
			return err
		}
		c, err := t.Start(nil, "wait")
		if err != nil {
			return err
		}
		if err := c.Own("net"); err != nil {
			return err
		}
		links, err := c.Links()
		if err != nil {
			return err
		}
		if !slices.Equal(links, fresh) {
			return check.Fail(fmt.Sprintf("in /proc/%d/net/dev: %s", c.Pid, strings.Join(fresh, " ")), strings.Join(links, " "),
				"the engine connected the container, or put it into a network namespace that was there before")
		}
		return c.Release()
	},
}
