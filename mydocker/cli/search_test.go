package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/registry"
)

// The lines are those of docker 28.
func TestSearch(t *testing.T) {
	found := []registry.SearchResult{
		{Name: "low", Description: "a low one\nwith newline that is very very long indeed so that it is cut", StarCount: 3, IsAutomated: true},
		{Name: "top", Description: "the top", StarCount: 300, IsOfficial: true},
	}
	for format, want := range map[string]string{
		"": "NAME      DESCRIPTION                                     STARS     OFFICIAL\n" +
			"low       a low one with newline that is very very lon…   3         \n" +
			"top       the top                                         300       [OK]\n",
		"json": `{"Description":"a low one with newline that is very very lon…","IsOfficial":"false","Name":"low","StarCount":"3"}` + "\n" +
			`{"Description":"the top","IsOfficial":"true","Name":"top","StarCount":"300"}` + "\n",
		"{{.Name}} {{.IsOfficial}}": "low \ntop [OK]\n",
	} {
		var got strings.Builder
		err := (&searchOptions{listing: listing{format: format}}).write(&got, found)
		if diff := cmp.Diff(want, got.String()); diff != "" || err != nil {
			t.Errorf("%s: %v, (-want +got):\n%s", format, err, diff)
		}
	}
	var got strings.Builder
	(&searchOptions{listing: listing{noTrunc: true, format: "{{.Description}}"}}).write(&got, found)
	if want := "a low one with newline that is very very long indeed so that it is cut\nthe top\n"; got.String() != want {
		t.Errorf("not truncated: %q", got.String())
	}
}

func TestServerKey(t *testing.T) {
	const hub = "https://index.docker.io/v1/"
	for server, want := range map[string]string{
		"": hub, "docker.io": hub, hub: hub, "registry.example": "registry.example", "http://registry.example:5000/v2/": "registry.example:5000",
	} {
		if got := serverKey(server); got != want {
			t.Errorf("%q: %s, want %s", server, got, want)
		}
	}
}
