package namespaces

import (
	"fmt"
	"os"
	"regexp"

	"minidocker/labs/check"

	"golang.org/x/sys/unix"
)

var hostname = check.Check{
	Name:    "hostname",
	Title:   "the container has the host name it was given, or a fresh one, and the host keeps its own",
	Needs:   needsWords,
	Section: chapter + "uts-the-host-name",
	Hints: []string{
		"One namespace holds the host name. Its two system calls are uname(2) and sethostname(2).",
		"Who calls sethostname must be in the new namespace already: the engine itself is still in the host's.",
		"Clone with CLONE_NEWUTS, and let the child call unix.Sethostname before it becomes the command. Without --hostname: 12 hexadecimal digits from crypto/rand.",
	},
	Explain: []string{
		`readlink /proc/self/ns/uts /proc/$PID/ns/uts    # two numbers, two namespaces`,
		`nsenter -t $PID -u hostname`,
		`hostname                                      # the host's is as before`,
	},
	Run: func(t *check.Trial) error {
		host, err := os.Hostname()
		if err != nil {
			return err
		}
		name := t.Name()
		c, err := t.Start([]string{"--hostname", name}, "wait")
		if err != nil {
			return err
		}
		own := c.Own("uts")
		if now, _ := os.Hostname(); now != host {
			unix.Sethostname([]byte(host))
			return check.Fail("the host's name is "+host+" before and after", "it has become "+now+" (and is set right again)",
				"sethostname(2) was called in the host's UTS namespace")
		}
		if own != nil {
			return own
		}
		seen, err := nameIn(c)
		if err != nil {
			return err
		}
		if seen != name {
			cause := "--hostname is not passed on to the process that calls sethostname(2)"
			if seen == host {
				cause = "the namespace is new, and begins with a copy of the host's name: nobody called sethostname(2) in it"
			}
			return check.Fail("host name "+name+" in the container", "host name "+seen, cause)
		}
		if err := c.Release(); err != nil {
			return err
		}
		return fresh(t)
	},
}

// fresh looks at the names of two containers for which none was given.
func fresh(t *check.Trial) error {
	expected := "without --hostname a name of 12 hexadecimal digits, another one each time"
	var names [2]string
	for i := range names {
		c, err := t.Start(nil, "wait")
		if err != nil {
			return err
		}
		if names[i], err = nameIn(c); err != nil {
			return err
		}
		if !regexp.MustCompile("^[0-9a-f]{12}$").MatchString(names[i]) {
			return check.Fail(expected, fmt.Sprintf("%q", names[i]), "the default of --hostname is something else")
		}
		if err := c.Release(); err != nil {
			return err
		}
	}
	if names[0] == names[1] {
		return check.Fail(expected, names[0]+" twice", "the name is always the same, not drawn from crypto/rand")
	}
	return nil
}

// nameIn is the host name in the container's UTS namespace.
func nameIn(c *check.Container) (name string, err error) {
	err = c.Join(func() error {
		name, err = os.Hostname()
		return err
	}, "uts")
	return name, err
}
