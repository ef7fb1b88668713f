package rootfs

import "slices"

// OptionNames are the options of a mount that this package knows, sorted; others are
// passed on to the file system (OCI runtime specification, features.md).
func OptionNames() []string {
	names := []string{"bind", "rbind", "remount", "tmpcopyup", "defaults", "async", "loud", "nomand", "noiversion", "silent", "idmap", "ridmap"}
	add := func(name string) { names = append(names, name, "r"+name) }
	for _, a := range attributes {
		add(a.on)
		add(a.off)
	}
	for _, a := range accessTimes {
		add(a.name)
	}
	for _, p := range propagations {
		add(p.name)
	}
	slices.Sort(names)
	return names
}
