package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// measure is one kind of measurement; less is better.
type measure struct {
	name    string
	unit    string // seconds if empty, bytes or ratio
	slow    bool   // a quarter of the rounds
	once    bool   // one round: what it measures is a mean already
	budgets []budget
	skip    func(*engine) bool        // nil: measured with every engine
	engines func() ([]*engine, error) // instead of all others, if not nil
	setup   func(*engine) error
	sample  func(*engine) (float64, error)
	done    func(*engine) error // takes away what setup made for this measure alone
}

// budget is the most that mydocker may take: factor times the engine's median,
// or, for mydocker itself, factor in the measure's unit.
type budget struct {
	engine string
	factor float64
}

func (b budget) String() string {
	if b.factor == 1 {
		return "1"
	}
	return fmt.Sprintf("1/%.0f", 1/b.factor)
}

type result struct {
	Name    string
	Unit    string
	Engines []sample
	budgets []budget
}

type sample struct {
	Engine  string
	Median  float64
	Samples []float64 // sorted
}

func (r result) median(engine string) float64 {
	for _, e := range r.Engines {
		if e.Engine == engine {
			return e.Median
		}
	}
	return 0
}

func (r result) show(value float64) string {
	switch r.Unit {
	case "bytes":
		return fmt.Sprintf("%.2f MB", value/1e6)
	case "ratio":
		return fmt.Sprintf("%.2f", value)
	}
	return fmt.Sprintf("%.1f ms", value*1000)
}

// measure takes the samples, the engines one after the other in each round,
// each round beginning with another of them; the first round does not count.
func (m measure) measure(ctx context.Context, engines []*engine, rounds int) (result, error) {
	r := result{Name: m.name, Unit: cmp.Or(m.unit, "seconds"), budgets: m.budgets}
	if m.slow {
		rounds = max(3, rounds/4)
	}
	first := -1
	if m.once {
		rounds, first = 1, 0
	}
	if m.skip != nil {
		engines = slices.DeleteFunc(slices.Clone(engines), m.skip)
	}
	if m.engines != nil {
		var err error
		if engines, err = m.engines(); err != nil {
			return r, err
		}
	}
	if m.setup != nil {
		for _, e := range engines {
			if err := m.setup(e); err != nil {
				return r, err
			}
		}
	}
	taken := make([][]float64, len(engines))
	for round := first; round < rounds; round++ {
		for i := range engines {
			if err := ctx.Err(); err != nil {
				return r, err
			}
			i = (i + round + 1) % len(engines)
			value, err := m.sample(engines[i])
			if err != nil {
				return r, err
			}
			if round >= 0 {
				taken[i] = append(taken[i], value)
			}
		}
	}
	for i, e := range engines {
		if m.done != nil {
			if err := m.done(e); err != nil {
				return r, err
			}
		}
		slices.Sort(taken[i])
		r.Engines = append(r.Engines, sample{e.name, taken[i][len(taken[i])/2], taken[i]})
	}
	return r, nil
}

func timed(f func() error) (float64, error) {
	start := time.Now()
	err := f()
	return time.Since(start).Seconds(), err
}

func noProcess(e *engine) bool { return e.still }
func noImages(e *engine) bool  { return e.bundle != "" }
func noService(e *engine) bool { return noImages(e) || noProcess(e) }

// measures are all there are. The order matters: ps makes many containers.
func measures(dir string, containers int) []measure {
	return slices.Concat(basicMeasures(dir), []measure{ociMeasure(dir)}, lifeMeasures(100), fileMeasures(dir), imageMeasures(dir), commitMeasures(dir), networkMeasures(containers), []measure{listMeasure(containers)})
}

func basicMeasures(dir string) []measure {
	archive, big := dir+"/debian-image.tar", dir+"/big"
	return []measure{
		{
			name: "run", skip: noProcess,
			budgets: []budget{{"docker", 1. / 10}, {"runc", 1}},
			sample:  func(e *engine) (float64, error) { return timed(func() error { return e.do(e.runArgs("true")...) }) },
		}, {
			name: "run -d, rm -f", skip: noProcess,
			sample: func(e *engine) (float64, error) {
				remove := []string{"rm", "-f", "mydocker-bench-detached"}
				if e.bundle != "" {
					remove[0] = "delete"
				}
				return timed(func() error {
					if err := e.do(e.detachedArgs("mydocker-bench-detached")...); err != nil {
						return err
					}
					return e.do(remove...)
				})
			},
		}, {
			name: "exec", skip: noProcess,
			budgets: []budget{{"docker", 1. / 10}},
			sample: func(e *engine) (float64, error) {
				return timed(func() error { return e.do("exec", e.running, "true") })
			},
		}, {
			name: "stdout, 200 MB", slow: true, skip: noService,
			budgets: []budget{{"docker", 1. / 3}},
			setup:   func(*engine) error { return writeLines(big, bigSize) },
			sample: func(e *engine) (float64, error) {
				flags := append(slices.Clone(e.flags), "-v", big+":/big:ro")
				var n counter
				seconds, err := timed(func() error {
					return e.output(&n, slices.Concat([]string{"run", "--rm"}, flags, []string{image, "cat", "/big"})...)
				})
				if err == nil && n != bigSize {
					err = fmt.Errorf("%s: %d bytes of %d arrived", e.name, n, bigSize)
				}
				return seconds, err
			},
		}, {
			name: "load, Debian", slow: true, skip: noImages,
			budgets: []budget{{"docker", 1. / 2}},
			setup:   func(*engine) error { return writeArchive(archive, os.Getenv("MYDOCKER_ROOTFS_DEBIAN")) },
			sample: func(e *engine) (float64, error) {
				e.do("rmi", loadImage)
				unix.Sync() // nobody pays for what another has written
				return timed(func() error { return e.do("load", "-q", "-i", archive) })
			},
		}, {
			name: "memory of an idle one", unit: "bytes", once: true, skip: noService,
			budgets: []budget{{"mydocker", 3e6}},
			sample:  idleMemory,
		},
	}
}

// listMeasure is of `ps -a` with so many containers.
func listMeasure(containers int) measure {
	return measure{
		name: fmt.Sprintf("ps -a, %d", containers), skip: noImages,
		budgets: []budget{{"docker", 1}},
		setup: func(e *engine) error {
			for i := range containers {
				if err := e.do(e.createArgs(fmt.Sprint("mydocker-bench-", i))...); err != nil {
					return err
				}
			}
			return nil
		},
		sample: func(e *engine) (float64, error) {
			var out bytes.Buffer
			seconds, err := timed(func() error { return e.output(&out, "ps", "-a") })
			if n := strings.Count(out.String(), "\n"); err == nil && n <= containers {
				err = fmt.Errorf("%s: ps shows %d lines", e.name, n)
			}
			return seconds, err
		},
	}
}

// counter counts what is written to it.
type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// idleMemory is the private memory of the process that an engine keeps for each
// container: mydocker's monitor, docker's shim, podman's conmon, always the
// parent of the container's first process. The mean of 20.
func idleMemory(e *engine) (mean float64, err error) {
	const count = 20
	var names []string
	for i := range count {
		names = append(names, fmt.Sprint("mydocker-bench-idle-", i))
		if err := e.do(e.detachedArgs(names[i])...); err != nil {
			return 0, err
		}
	}
	defer func() { err = errors.Join(err, e.do(append([]string{"rm", "-f"}, names...)...)) }()
	time.Sleep(2 * time.Second) // idle is what is measured
	for _, name := range names {
		var out bytes.Buffer
		if err := e.output(&out, "inspect", "-f", "{{.State.Pid}}", name); err != nil {
			return 0, err
		}
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(out.String()) + "/stat")
		if err != nil {
			return 0, err
		}
		// proc_pid_stat(5): pid (comm) state ppid
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		rollup, err := os.ReadFile("/proc/" + fields[1] + "/smaps_rollup")
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(string(rollup)) {
			var kilobytes float64
			if strings.HasPrefix(line, "Private_") && strings.HasSuffix(line, " kB\n") {
				fmt.Sscan(strings.Fields(line)[1], &kilobytes)
				mean += kilobytes * 1024 / count
			}
		}
	}
	return mean, nil
}
