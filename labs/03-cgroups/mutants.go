package cgroups

import "minidocker/labs/check"

const stage = "chapters/03-cgroups/main.go"

var mutants = []check.Mutant{
	{
		Name: "joins-after-exec", File: stage, // as first/main.go does
		Old: `	leave, err := group.Enter(init.SysProcAttr)
`,
		New: `	leave, err := func() error {
		go func() {
			own, _ := os.Readlink("/proc/self/exe")
			for exe := own; exe == own; { // until init has become the command
				exe, _ = os.Readlink(fmt.Sprintf("/proc/%d/exe", init.Process.Pid))
			}
			group.Add(init.Process.Pid)
		}()
		return nil
	}, error(nil)
`,
		Fails: "joined-before-exec", May: []string{"cgroup-namespace", "memory-bites", "cpu-limit", "pids-limit", "bad-values"},
	},
	{
		Name: "limits-softly", File: stage, // in the wrong file: memory.low, memory.soft_limit_in_bytes
		Old:   `&specs.LinuxMemory{Limit: &limit, Swap: &limit}`,
		New:   `&specs.LinuxMemory{Reservation: &limit}`,
		Fails: "memory-limit", May: []string{"memory-bites", "bad-values"},
	},
	{
		Name: "masks-137", File: stage,
		Old: `return 128 + int(ended.Signal())`, New: `return 1`,
		Fails: "memory-bites",
	},
	{
		Name: "mistakes-the-period", File: stage,
		Old: `int64(cpus*period), uint64(period)`, New: `int64(cpus*period), uint64(10*period)`,
		Fails: "cpu-limit", May: []string{"bad-values"},
	},
	{
		Name: "forgets-the-pids", File: stage,
		Old: `err = group.LimitPids(&o.Limits)`, New: `err = nil`,
		Fails: "pids-limit", May: []string{"bad-values"},
	},
	{
		Name: "shows-the-hosts-cgroups", File: stage,
		Old: `if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {`, New: `if err := error(nil); err != nil {`,
		Fails: "cgroup-namespace",
	},
	{
		Name: "leaves-the-cgroup", File: stage,
		Old: `return status, errors.Join(err, group.Delete())`, New: `return status, err`,
		Fails: "gone", May: []string{"leftovers"}, // bad values are refused before there is a group
	},
	{
		Name: "limits-by-default", File: stage,
		Old: `flags.SetOutput(io.Discard) // the error is enough`, New: `flags.SetOutput(io.Discard); o.limitPids("4096")`,
		Fails: "no-limit",
	},
	{
		Name: "takes-any-number", File: stage, // and what is below 0 for "no limit"
		Old: `if err != nil || !(cpus >= 0.01) || cpus > 10000 {`, New: `if err != nil {`,
		Fails: "bad-values",
	},
}
