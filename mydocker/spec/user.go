package spec

import (
	"bytes"
	"fmt"
	"io"
	"slices"

	"github.com/moby/sys/user"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// ResolveUser finds the user a container's process runs as, and the home
// directory. who is "", "user", "uid", "user:group" and so on, as in
// Config.User; groupAdd are further groups by name or number. passwd and group
// are the image's /etc files, nil for one that is missing; they decide names,
// numbers need not be in them.
func ResolveUser(who string, groupAdd []string, passwd, group io.Reader) (specs.User, string, error) {
	// Read twice below, and written by a stranger: not more than is sensible.
	var groups []byte
	if group != nil {
		var err error
		if groups, err = io.ReadAll(io.LimitReader(group, 16<<20)); err != nil {
			return specs.User{}, "", fmt.Errorf("read the image's /etc/group: %w", err)
		}
	}
	found, err := user.GetExecUser(who, &user.ExecUser{Home: "/"}, passwd, bytes.NewReader(groups))
	if err != nil {
		return specs.User{}, "", err
	}
	more, err := user.GetAdditionalGroups(groupAdd, bytes.NewReader(groups))
	if err != nil {
		return specs.User{}, "", err
	}
	slices.Sort(more) // they come out of a map

	// The user's own group stands among the additional ones too: else a process
	// could drop its primary group and pass for one that is not a member.
	result := specs.User{UID: uint32(found.Uid), GID: uint32(found.Gid)}
	for _, gid := range slices.Concat([]int{found.Gid}, found.Sgids, more) {
		if !slices.Contains(result.AdditionalGids, uint32(gid)) {
			result.AdditionalGids = append(result.AdditionalGids, uint32(gid))
		}
	}
	if found.Home == "" {
		found.Home = "/"
	}
	return result, found.Home, nil
}
