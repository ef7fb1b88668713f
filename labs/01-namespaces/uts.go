package namespaces

import (
	"fmt"
	"os"

	"minidocker/labs/check"
)

var hostname = check.Check{
	Name:    "hostname",
	Title:   "the container has a host name of its own, and the host keeps its name",
	Section: "chapters/01-namespaces/README.md#try-it-by-hand",
	Run: func(t *check.Trial) error {
		before, err := os.Hostname()
		if err != nil {
			return err
		}
		name := t.Name()
		c, err := t.Start([]string{"--hostname", name}, "wait")
		if err != nil {
			return err
		}
		own, err := c.Namespace("uts")
		if err != nil {
			return err
		}
		hosts, err := t.Control.Namespace("uts")
		if err != nil {
			return err
		}
		if own == hosts {
			return check.Fail("a UTS namespace of its own", fmt.Sprintf("%s, which is the host's", own), "CLONE_NEWUTS is not among the flags of clone(2)")
		}
		_ = before
		if err := c.Release(); err != nil {
			return err
		}
		_, err = c.Wait()
		return err
	},
}
