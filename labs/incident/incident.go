// Package incident breaks a container on purpose. A student sees a symptom, finds
// the cause with the tools of the host, names it, and repairs what is broken while
// the container runs.
//
// On the host it owns, for each incident that has been started, the processes
// whose argv carries the incident's name, the directory /var/tmp/NAME, the cgroup
// /NAME, what is mounted below the directory, and the record /run/labs/incident-LAB.json.
// All are found by the name, which follows from lab and seed, so a kill -9 leaves
// nothing that End does not take away.
package incident

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/disk"
)

// Case is one way for a container to be broken.
type Case struct {
	Lab      int
	Cause    string                    // what the student has to name
	Title    string                    // the cause in words
	Start    func(*Container) error    // makes the broken container
	Symptom  func(*Container) []string // what a user of the container would report
	Repaired func(*Container) error    // nil when all is as it should be; else what is still wrong
	Solution func(*Container) []string // the commands that show and mend it
}

// Container is a broken container.
type Container struct {
	Name    string // in the argv of its processes
	Dir     string // what it has on disk
	Pid     int    // its process 1, as the host numbers it
	Number  int    // a seeded number between 0 and 9, for limits and counts
	Started time.Time
	group   cgroup.Group
	record  string
	seed    string
}

// record is what is kept while an incident waits for its solution. It does not
// say the cause: that follows from lab and seed.
type record struct {
	Seed    string    `json:"seed"`
	Pid     int       `json:"pid"`
	Started time.Time `json:"started"`
}

const records = "/run/labs"

// ErrNone says that no incident of this lab and seed has been started.
var ErrNone = errors.New("no such incident has been started")

// cases of all labs.
var cases = slices.Concat(namespaceCases, rootfsCases, cgroupCases)

// Of returns the cases of a lab; none if the lab has no incidents.
func Of(lab int) (list []Case) {
	for _, c := range cases {
		if c.Lab == lab {
			list = append(list, c)
		}
	}
	return list
}

// Causes are the words from which the student chooses: those of the lab's cases
// and some that never hold, each with its meaning.
func Causes(lab int) map[string]string {
	causes := map[string]string{}
	for _, c := range Of(lab) {
		causes[c.Cause] = c.Title
	}
	for cause, title := range decoys[lab] {
		causes[cause] = title
	}
	return causes
}

// choose gives the case and the container that follow from lab and seed.
func choose(lab int, seed string) (Case, *Container, error) {
	list := Of(lab)
	if len(list) == 0 {
		return Case{}, nil, fmt.Errorf("lab %d has no incidents", lab)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", lab, seed))
	random := rand.New(rand.NewPCG(binary.BigEndian.Uint64(sum[:]), binary.BigEndian.Uint64(sum[8:])))
	c := &Container{Name: fmt.Sprintf("incident-%x", sum[:4]), Number: random.IntN(10), seed: seed, record: recordOf(lab)}
	c.Dir = filepath.Join("/var/tmp", c.Name)
	group, err := cgroup.Open("/" + c.Name)
	c.group = group
	return list[random.IntN(len(list))], c, err
}

// Start breaks a container. What an earlier incident of the same lab left is removed.
func Start(lab int, seed string) (Case, *Container, error) {
	chosen, c, err := choose(lab, seed)
	if err != nil {
		return Case{}, nil, err
	}
	if earlier, err := read(c.record); err == nil {
		if err := End(lab, earlier.Seed); err != nil {
			return Case{}, nil, err
		}
	}
	if err := c.clean(); err != nil {
		return Case{}, nil, err
	}
	if err := os.MkdirAll(records, 0o755); err != nil {
		return Case{}, nil, err
	}
	// Recorded first: what a failure leaves is found by the name alone.
	if err := c.write(); err != nil {
		return Case{}, nil, err
	}
	err = os.Mkdir(c.Dir, 0o755)
	if err == nil {
		err = chosen.Start(c)
	}
	if err == nil {
		c.Started = time.Now()
		err = c.write()
	}
	if err != nil {
		return Case{}, nil, errors.Join(fmt.Errorf("start incident %s: %w", c.Name, err), c.clean(), os.Remove(c.record))
	}
	return chosen, c, nil
}

// Find returns the incident that waits for its solution, or ErrNone.
func Find(lab int, seed string) (Case, *Container, error) {
	chosen, c, err := choose(lab, seed)
	if err != nil {
		return Case{}, nil, err
	}
	r, err := read(c.record)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return Case{}, nil, err
	}
	if r.Seed != seed || r.Pid == 0 {
		return Case{}, nil, ErrNone
	}
	c.Pid, c.Started = r.Pid, r.Started
	return chosen, c, nil
}

// Waiting is the seed of the lab's incident that has been started and not yet solved or
// given up, "" if there is none.
func Waiting(lab int) string {
	r, _ := read(recordOf(lab))
	return r.Seed
}

// End takes an incident away, solved or not; none is no error.
func End(lab int, seed string) error {
	_, c, err := choose(lab, seed)
	if err != nil {
		return err
	}
	if err := c.clean(); err != nil {
		return err
	}
	if r, err := read(c.record); err == nil && r.Seed == seed {
		return os.Remove(c.record)
	}
	return nil
}

func recordOf(lab int) string { return filepath.Join(records, fmt.Sprintf("incident-%d.json", lab)) }

func read(path string) (r record, err error) {
	err = disk.ReadJSON(path, &r)
	return r, err
}

func (c *Container) write() error {
	return disk.WriteJSON(c.record, record{c.seed, c.Pid, c.Started}, disk.Volatile)
}
