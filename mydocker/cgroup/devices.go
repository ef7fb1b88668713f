package cgroup

import (
	"fmt"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// SetDevices says which devices the group's processes may open and make nodes of.
// It is called once, between Create and the first process: on version 2 a later
// call can only take away. Of the rules that fit, the last one decides, for each of
// the rights to read, write and mknod by itself; without one it is denied. As in runc,
// and in version 1's files, a rule of type a, or of none, is for all rights to all devices.
func (g Group) SetDevices(rules []specs.LinuxDeviceCgroup) (err error) {
	for i, r := range rules {
		switch {
		case r.Access == "":
			return fmt.Errorf("device access at %d field cannot be empty", i)
		case len(r.Type) > 1 || !strings.Contains("abc", r.Type):
			return fmt.Errorf("limit devices: invalid cgroup device type %q", r.Type)
		case strings.Trim(r.Access, "rwm") != "":
			return fmt.Errorf("limit devices: access %q is not some of rwm", r.Access)
		}
	}
	allow, list, hole := exceptions(rules)
	if g.manager != nil {
		if err := g.noteDevices(allow || hole != nil, list); err != nil {
			return fmt.Errorf("limit devices: %w", err)
		}
	}
	if g.host.Version == 2 {
		err = attachDeviceProgram(g.Paths()[""], rules)
	} else if err = hole; err == nil {
		err = g.writeExceptions(allow, list)
	}
	if err != nil {
		return fmt.Errorf("limit devices: %w", err)
	}
	return nil
}

// noteDevices tells the manager, all if it cannot express the rules: it is to leave them.
func (g Group) noteDevices(allow bool, list []exception) error {
	var lines []string
	for _, e := range list {
		lines = append(lines, e.String())
	}
	if err := g.manager.setDevices(allow, lines); err != nil {
		return err
	}
	_, err := g.makeDirs() // systemd removes version 1's of a controller that it need not set
	return err
}

// DefaultDevices are the rules for the devices every container has (config-linux.md,
// "Default Devices"), after its own: null zero full random urandom, tty ptmx pts; and any
// node may be made, as only opening it is dangerous.
func DefaultDevices() (rules []specs.LinuxDeviceCgroup) {
	for _, d := range [...]exception{
		{'c', -1, -1, 1}, {'b', -1, -1, 1}, {'c', 1, 3, 7}, {'c', 1, 5, 7}, {'c', 1, 7, 7}, {'c', 1, 8, 7}, {'c', 1, 9, 7},
		{'c', 5, 0, 7}, {'c', 5, 2, 7}, {'c', 136, -1, 7},
	} {
		rules = append(rules, specs.LinuxDeviceCgroup{Allow: true, Type: string(d.kind), Major: &d.major, Minor: &d.minor, Access: d.access()})
	}
	return rules
}

// exception is rights to a device, or to all of a major or minor number (-1), which the
// kernel of version 1 and systemd keep beside the answer for all others.
type exception struct {
	kind         byte // b or c
	major, minor int64
	rights       int32
}

// rightsOf has the bits of eBPF: BPF_DEVCG_ACC_MKNOD, _READ, _WRITE.
func rightsOf(access string) (bits int32) {
	for _, letter := range access {
		bits |= 1 << strings.IndexRune("mrw", letter)
	}
	return bits
}

func (e exception) access() (letters string) {
	for _, letter := range "rwm" {
		if e.rights&rightsOf(string(letter)) != 0 {
			letters += string(letter)
		}
	}
	return letters
}

func (e exception) String() string {
	return fmt.Sprintf("%c %s:%s %s", e.kind, starOr(e.major), starOr(e.minor), e.access())
}

func starOr(number int64) string {
	if number < 0 {
		return "*"
	}
	return fmt.Sprint(number)
}

// covers tells whether all devices of f are among those of e.
func (e exception) covers(f exception) bool {
	return e.kind == f.kind && slices.Contains([]int64{-1, f.major}, e.major) && slices.Contains([]int64{-1, f.minor}, e.minor)
}

// overlaps tells whether a device of f is among those of e.
func (e exception) overlaps(f exception) bool {
	return e.kind == f.kind && (e.major == f.major || min(e.major, f.major) < 0) && (e.minor == f.minor || min(e.minor, f.minor) < 0)
}

// exceptions reduces rules to the answer for all devices and exceptions from it, in the
// order in which they were first named. An exception from an exception has no such form:
// the kernel would ignore it, so that a denied device would be open, and that is an error.
func exceptions(rules []specs.LinuxDeviceCgroup) (allow bool, list []exception, err error) {
	for _, r := range rules {
		if strings.Trim(r.Type, "a") == "" {
			allow, list = r.Allow, nil
			continue
		}
		e := exception{r.Type[0], numberOr(r.Major), numberOr(r.Minor), rightsOf(r.Access)}
		if r.Allow != allow {
			if i := slices.IndexFunc(list, func(old exception) bool { return old.covers(e) && e.covers(old) }); i >= 0 {
				list[i].rights |= e.rights
			} else {
				list = append(list, e)
			}
			continue
		}
		for i, old := range list {
			if e.covers(old) {
				list[i].rights &^= e.rights
			} else if e.overlaps(old) && e.rights&old.rights != 0 {
				return allow, nil, fmt.Errorf("requested rule [%s] not supported by devices cgroupv1 (cannot punch hole in existing wildcard rule [%s])", e, old)
			}
		}
	}
	return allow, slices.DeleteFunc(list, func(e exception) bool { return e.rights == 0 }), nil
}

func numberOr(number *int64) int64 {
	if number == nil {
		return -1
	}
	return max(*number, -1)
}

// writeExceptions is version 1, where the kernel keeps them, as "c 1:3 rwm".
func (g Group) writeExceptions(allow bool, list []exception) error {
	file := map[bool]string{true: "devices.allow", false: "devices.deny"}
	texts := []string{"a"} // every right to every device; it takes back all exceptions
	for _, e := range list {
		texts = append(texts, e.String())
	}
	for i, text := range texts {
		path, err := g.file(file[allow == (i == 0)])
		if err == nil {
			err = write(path, text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
