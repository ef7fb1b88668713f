package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"minidocker/mydocker/trace"

	"github.com/docker/go-units"
)

// options are what the command line says.
type options struct {
	Hostname string
	Rootfs   string // the directory that becomes /, absolute
	ReadOnly bool
	Limits   limits
	Command  []string
}

// limits are what the container may use; 0: as much as there is.
type limits struct {
	Memory int64   // bytes
	CPUs   float64 // processors: 0.5 is half of one
	Pids   int64   // processes and threads
}

// parse reads "[--debug] run [--hostname NAME] [--read-only] [--memory BYTES] [--cpus NUMBER]
// [--pids-limit NUMBER] --rootfs DIR COMMAND [ARGUMENT...]".
func parse(args []string) (o options, err error) {
	if len(args) > 0 && args[0] == "--debug" {
		trace.To(os.Stderr, "engine")
		args = args[1:]
	}
	if len(args) == 0 || args[0] != "run" {
		return o, fmt.Errorf("usage: %s [--debug] run [OPTIONS] COMMAND [ARGUMENT...]", program)
	}
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error is enough
	flags.StringVar(&o.Hostname, "hostname", newID(), "host `name` of the container")
	flags.StringVar(&o.Rootfs, "rootfs", "", "`directory` that becomes /")
	flags.BoolVar(&o.ReadOnly, "read-only", false, "nothing can be written below /")
	flags.Func("memory", "`bytes` it may use, with k, m or g for more", o.limitMemory)
	flags.Func("cpus", "`number` of processors it may use, such as 0.5", o.limitCPU)
	flags.Func("pids-limit", "`number` of processes and threads it may have", o.limitPids)
	if err := flags.Parse(args[1:]); err != nil {
		return o, err
	}
	if o.Command = flags.Args(); len(o.Command) == 0 {
		return o, errors.New("run: no command")
	}
	if o.Rootfs == "" {
		return o, errors.New("run: --rootfs is missing: a directory with the container's files")
	}
	if o.Rootfs, err = filepath.Abs(o.Rootfs); err != nil {
		return o, err
	}
	if info, err := os.Stat(o.Rootfs); err != nil {
		return o, fmt.Errorf("run: --rootfs: %w", err)
	} else if !info.IsDir() {
		return o, fmt.Errorf("run: --rootfs %s: not a directory", o.Rootfs)
	}
	return o, nil
}

func (o *options) limitMemory(value string) error {
	limit, err := units.RAMInBytes(value)
	if err != nil || limit <= 0 {
		return errors.New("not a number of bytes such as 64m")
	}
	o.Limits.Memory = limit
	return nil
}

func (o *options) limitCPU(value string) error {
	cpus, err := strconv.ParseFloat(value, 64)
	if err != nil || !(cpus >= 0.01) || cpus > 10000 { // the kernel wants a quota of a millisecond
		return errors.New("not a number of processors such as 0.5")
	}
	o.Limits.CPUs = cpus
	return nil
}

func (o *options) limitPids(value string) error {
	number, err := strconv.ParseInt(value, 10, 64)
	if err != nil || number < 1 {
		return errors.New("not a number of processes")
	}
	o.Limits.Pids = number
	return nil
}
