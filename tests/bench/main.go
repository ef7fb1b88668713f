// Command bench measures mydocker beside docker, podman and runc, whichever of
// them is installed, and compares with the budgets: `make bench` runs it.
//
// The engines take turns within one run, so that what else the machine does
// meets all of them; what counts are the ratios of medians. It owns a directory
// in /var/tmp, containers, networks and images named mydocker-bench-*, the
// cgroup and the bridge of mydocker's instance mydocker-bench and, if docker is
// installed but no daemon answers, a dockerd of its own. All that is removed at
// the end; after a kill -9 it is left.
//
// With arguments it is an end of a stream that it measures: see peer.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"

	"golang.org/x/sys/unix"
)

func main() {
	rounds := flag.Int("rounds", 20, "measurements of each kind and engine; load and stdout take a quarter")
	only := flag.String("only", "", "measure what matches this regular expression")
	engines := flag.String("engines", "", "engines beside mydocker that match this regular expression")
	containers := flag.Int("containers", 200, "containers that ps lists, and on one bridge")
	asJSON := flag.Bool("json", false, "print every measurement as JSON")
	strict := flag.Bool("strict", false, "exit 1 if a budget is exceeded")
	flag.Parse()
	if flag.NArg() > 0 {
		if err := peer(flag.Args()); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	over, err := bench(*rounds, *containers, *only, *engines, *asJSON)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	if over && *strict {
		os.Exit(1)
	}
}

func bench(rounds, containers int, only, engines string, asJSON bool) (over bool, err error) {
	ctx, cancel := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer cancel()
	wanted, err := regexp.Compile(only)
	if err != nil {
		return false, err
	}
	others, err := regexp.Compile(engines)
	if err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("/var/tmp", "mydocker-bench-")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, removeAll(dir)) }()
	list, err := findEngines(ctx, dir, others)
	defer func() {
		for _, e := range list {
			err = errors.Join(err, e.remove())
		}
	}()
	if err != nil {
		return false, err
	}
	before := load()
	var results []result
	for _, m := range measures(dir, containers) {
		if !wanted.MatchString(m.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s ...\n", m.name)
		r, err := m.measure(ctx, list, rounds)
		if err != nil {
			return false, fmt.Errorf("%s: %w", m.name, err)
		}
		results = append(results, r)
	}
	if asJSON {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		return false, encoder.Encode(map[string]any{"load": []string{before, load()}, "measures": results})
	}
	over = table(results)
	fmt.Printf("\nload average: %s before, %s after, on %d processors\n", before, load(), processors())
	return over, nil
}

// table prints a line for each measure and engine, and tells whether a budget
// is exceeded.
func table(results []result) (over bool) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MEASURE\tENGINE\tMEDIAN\tMIN\tMAX\tMYDOCKER IS\tBUDGET\t")
	for _, r := range results {
		own := r.median("mydocker")
		for i, e := range r.Engines {
			name, ratio, budget, verdict := "", "", "", ""
			if i == 0 {
				name = r.Name
			}
			if e.Engine != "mydocker" {
				ratio = fmt.Sprintf("1/%.1f", e.Median/own)
			}
			for _, b := range r.budgets {
				if b.engine != e.Engine {
					continue
				}
				most := b.factor * e.Median
				budget = "<= " + b.String()
				if b.engine == "mydocker" {
					most = b.factor
					budget = "<= " + r.show(most)
				}
				verdict = "ok"
				if own > most {
					verdict, over = "OVER", true
				}
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", name, e.Engine, r.show(e.Median), r.show(e.Samples[0]), r.show(e.Samples[len(e.Samples)-1]), ratio, budget, verdict)
		}
	}
	w.Flush()
	return over
}

// removeAll removes the directory of this run, and first what is still mounted
// there: podman leaves a bind mount of its store.
func removeAll(dir string) error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	lines := slices.Collect(strings.Lines(string(mounts)))
	for _, line := range slices.Backward(lines) {
		if target := strings.Fields(line)[4]; strings.HasPrefix(target, dir+"/") {
			if err := unix.Unmount(target, 0); err != nil {
				return fmt.Errorf("unmount %s: %w", target, err)
			}
		}
	}
	return os.RemoveAll(dir)
}

// load is the load average of the last minute, proc_loadavg(5).
func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

func processors() int {
	var set unix.CPUSet
	unix.SchedGetaffinity(0, &set)
	return set.Count()
}
