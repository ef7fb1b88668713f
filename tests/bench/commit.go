package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// commitMeasures are of containers that do not run, with so many small files new.
func commitMeasures(dir string) []measure {
	return append([]measure{commitMeasure(dir, 1000)}, withMemory(commitMeasure(dir, 100_000))...)
}

// commitMeasure counts no removal: the images stay until the end of all, as in
// fileMeasures. A file that is new each time makes each layer another.
func commitMeasure(dir string, count int) measure {
	name, source, taken := fmt.Sprint("mydocker-bench-commit-", count), fmt.Sprint(dir, "/commit-", count), 0
	return measure{
		name: fmt.Sprintf("commit, %d files", count), slow: true, skip: noImages, budgets: half,
		setup: func(e *engine) error {
			return errors.Join(writeFiles(source, count), e.do(e.createArgs(name)...), e.do("cp", source, name+":/changed"))
		},
		sample: func(e *engine) (seconds float64, err error) {
			taken++
			fresh := dir + "/fresh"
			err = errors.Join(os.WriteFile(fresh, fmt.Append(nil, taken), 0o644), e.do("cp", fresh, name+":/fresh"))
			if err != nil {
				return 0, err
			}
			made := fmt.Sprint(commitImage, ":", count, "-", taken)
			unix.Sync() // nobody pays for what another has written
			seconds, err = timed(func() error { return e.do("commit", name, made) })
			if err != nil || e.still {
				return seconds, err
			}
			var found bytes.Buffer
			err = e.output(&found, append(append([]string{"run", "--rm"}, e.flags...), made, "sh", "-c", "cat /fresh; echo; find /changed -type f | wc -l")...)
			if want := fmt.Sprintf("%d\n%d", taken, count); err == nil && strings.TrimSpace(found.String()) != want {
				err = fmt.Errorf("%s: the image has %q, not %q", e.name, found.String(), want)
			}
			return seconds, err
		},
		done: func(e *engine) error { return e.do("rm", "-f", name) },
	}
}
