package cli

import (
	"errors"
	"fmt"
	"os"
)

// forEach does something to each of several containers at once, since stopping one
// may take ten seconds, and prints the answers in the order of the command line.
// An empty answer is not printed; the errors come back together.
func forEach(refs []string, do func(ref string) (answer string, err error)) error {
	type result struct {
		answer string
		err    error
	}
	results := make([]chan result, len(refs))
	for i, ref := range refs {
		results[i] = make(chan result, 1)
		go func() {
			answer, err := do(ref)
			results[i] <- result{answer, err}
		}()
	}
	var errs []error
	for _, done := range results {
		r := <-done
		if r.err != nil {
			errs = append(errs, r.err)
		} else if r.answer != "" {
			fmt.Fprintln(os.Stdout, r.answer)
		}
	}
	return errors.Join(errs...)
}
