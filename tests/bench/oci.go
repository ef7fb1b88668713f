package main

import (
	"fmt"
	"os"
	"os/exec"
)

// ociMeasure is of `run` of a bundle by OCI runtimes: mydocker as one, runc, and
// crun where it runs.
func ociMeasure(dir string) measure {
	return measure{
		name: "oci run", budgets: []budget{{"runc", 1. / 2}},
		engines: func() (runtimes []*engine, err error) {
			for _, argv := range [][]string{{"mydocker", os.Getenv("MYDOCKER_BIN"), "oci"}, {"runc", "runc"}, {"crun", "crun"}} {
				e := &engine{name: argv[0], argv: append(argv[1:], "--root", dir+"/oci-"+argv[0]), bundle: dir + "/oci"}
				if _, err := exec.LookPath(e.argv[0]); err != nil {
					continue
				}
				if runtimes == nil {
					err = e.makeBundle(os.Getenv("MYDOCKER_ROOTFS_BUSYBOX"))
				}
				if err == nil {
					err = e.do(e.runArgs("true")...)
				}
				switch {
				case err == nil:
					runtimes = append(runtimes, e)
				case e.name == "mydocker":
					return nil, err
				default: // crun refuses hosts with both versions of cgroups
					fmt.Fprintf(os.Stderr, "without %s: %v\n", e.name, err)
					err = nil
				}
			}
			return runtimes, nil
		},
		sample: func(e *engine) (float64, error) { return timed(func() error { return e.do(e.runArgs("true")...) }) },
	}
}
