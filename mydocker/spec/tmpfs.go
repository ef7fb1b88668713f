package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/mount"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// tmpfs is a temporary file system with Docker's options, which the given ones
// override: "exec" takes "noexec" back.
func tmpfs(target string, options []string) (specs.Mount, error) {
	merged, err := mergeOptions(append([]string{"noexec", "nosuid", "nodev", "rprivate"}, options...))
	if err != nil {
		return specs.Mount{}, err
	}
	return specs.Mount{Destination: target, Type: "tmpfs", Source: "tmpfs", Options: merged}, nil
}

// tmpfsOptions are those of a --mount type=tmpfs.
func tmpfsOptions(m mount.Mount) (options []string, err error) {
	if m.ReadOnly {
		options = append(options, "ro")
	}
	if m.TmpfsOptions == nil {
		return options, nil
	}
	if mode := m.TmpfsOptions.Mode; mode != 0 {
		options = append(options, fmt.Sprintf("mode=%o", mode))
	}
	if size := m.TmpfsOptions.SizeBytes; size != 0 {
		options = append(options, fmt.Sprintf("size=%d", size))
	}
	for _, option := range m.TmpfsOptions.Options {
		if len(option) < 1 || len(option) > 2 {
			return nil, fmt.Errorf("invalid option array length")
		}
		if option[0] != "exec" && option[0] != "noexec" {
			return nil, fmt.Errorf("invalid option: %s", option[0])
		}
		options = append(options, strings.Join(option, "="))
	}
	return options, nil
}

// What a tmpfs may be mounted with. Of the words in one group, and of one key,
// the last given counts (mount(8), tmpfs(5)).
const (
	optionGroups = `ro,rw suid,nosuid dev,nodev exec,noexec sync,async dirsync mand,nomand atime,noatime diratime,nodiratime
		relatime,norelatime strictatime,nostrictatime private,rprivate,shared,rshared,slave,rslave,unbindable,runbindable`
	optionKeys = `size mode uid gid nr_inodes nr_blocks mpol`
)

func mergeOptions(options []string) ([]string, error) {
	var merged []string
	seen := map[string]bool{}
	for _, option := range slices.Backward(options) {
		if option == "" || option == "defaults" {
			continue
		}
		group, err := optionGroup(option)
		if err != nil {
			return nil, err
		}
		if !seen[group] {
			seen[group] = true
			merged = append(merged, option)
		}
	}
	slices.Reverse(merged)
	return merged, nil
}

func optionGroup(option string) (string, error) {
	if key, _, hasValue := strings.Cut(option, "="); hasValue {
		if slices.Contains(strings.Fields(optionKeys), key) {
			return key, nil
		}
		return "", fmt.Errorf("invalid tmpfs option %q", strings.SplitN(option, "=", 2))
	}
	for group := range strings.FieldsSeq(optionGroups) {
		if slices.Contains(strings.Split(group, ","), option) {
			return group, nil
		}
	}
	return "", fmt.Errorf("invalid tmpfs option %q", []string{option})
}
