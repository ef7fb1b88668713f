package spec

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestResolveUser(t *testing.T) {
	gids := func(g ...uint32) []uint32 { return g }
	for _, test := range []struct {
		who  string
		add  []string
		want specs.User
		home string
		err  string
	}{
		{"", nil, specs.User{AdditionalGids: gids(0)}, "/root", ""},
		{"user", nil, specs.User{UID: 1000, GID: 1000, AdditionalGids: gids(1000, 10)}, "/home/user", ""},
		{"1000", nil, specs.User{UID: 1000, GID: 1000, AdditionalGids: gids(1000, 10)}, "/home/user", ""},
		{"user:extra", nil, specs.User{UID: 1000, GID: 77, AdditionalGids: gids(77)}, "/home/user", ""},
		{"4321", nil, specs.User{UID: 4321, AdditionalGids: gids(0)}, "/", ""},
		{"4321:77", []string{"wheel", "5", "wheel"}, specs.User{UID: 4321, GID: 77, AdditionalGids: gids(77, 5, 10)}, "/", ""},
		{"nobody-here", nil, specs.User{}, "", "unable to find user nobody-here: no matching entries in passwd file"},
		{"user:no-group", nil, specs.User{}, "", "unable to find group no-group: no matching entries in group file"},
		{"", []string{"no-group"}, specs.User{}, "", "unable to find group no-group: no matching entries in group file"},
	} {
		got, home, err := ResolveUser(test.who, test.add, strings.NewReader(testPasswd), strings.NewReader(testGroup))
		if diff := cmp.Diff(test.want, got); diff != "" || home != test.home || (err == nil) != (test.err == "") || err != nil && err.Error() != test.err {
			t.Errorf("%q + %v: home %q, error %v %s", test.who, test.add, home, err, diff)
		}
	}
	// An image without the files.
	got, home, err := ResolveUser("", nil, strings.NewReader(""), strings.NewReader(""))
	if err != nil || home != "/" || got.UID != 0 {
		t.Errorf("without files: %v %q %v", got, home, err)
	}
}
