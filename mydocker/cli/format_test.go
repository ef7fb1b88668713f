package cli

import (
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	api "github.com/moby/moby/api/types/container"
	imageapi "github.com/moby/moby/api/types/image"
)

func setFlags(t *testing.T, c *command, args ...string) {
	t.Helper()
	if _, _, err := parse(c, args, true); err != nil {
		t.Fatal(err)
	}
}

// TestListings compares with what Docker's command line 28.2 printed, to the
// byte, for the containers and images in testdata/docker-listings.json; their time
// of creation is an age in seconds.
func TestListings(t *testing.T) {
	recorded, err := os.ReadFile("testdata/docker-listings.json")
	if err != nil {
		t.Fatal(err)
	}
	var data struct {
		Containers []api.Summary
		Images     []imageapi.Summary
		Listings   []struct {
			Args   []string
			Output string
		}
	}
	if err := json.Unmarshal(recorded, &data); err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	for i := range data.Containers {
		data.Containers[i].Created = now - data.Containers[i].Created
	}
	for i := range data.Images {
		data.Images[i].Created = now - data.Images[i].Created
	}
	if len(data.Listings) < 15 {
		t.Fatalf("%d listings", len(data.Listings))
	}
	for _, test := range data.Listings {
		t.Run(strings.Join(test.Args, " "), func(t *testing.T) {
			var got strings.Builder
			var err error
			if test.Args[0] == "ps" {
				o := &psOptions{}
				setFlags(t, o.command(nil), test.Args[1:]...)
				err = o.write(&got, data.Containers)
			} else {
				o := &imagesOptions{}
				setFlags(t, o.command(nil), test.Args[1:]...)
				err = o.write(&got, data.Images)
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.Output, got.String()); diff != "" {
				t.Errorf("(-docker +mydocker):\n%s", diff)
			}
		})
	}
}

// TestJSONRow has the keys that `docker ps --format json` prints.
func TestJSONRow(t *testing.T) {
	keys := func(row any) string {
		encoded, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(encoded, &fields); err != nil {
			t.Fatal(err)
		}
		return strings.Join(sortedKeys(fields), " ")
	}
	if got, want := keys(containerRow{}), "Command CreatedAt ID Image Labels LocalVolumes Mounts Names Networks Platform Ports RunningFor Size State Status"; got != want {
		t.Errorf("container: %s\nwant %s", got, want)
	}
	if got, want := keys(imageRow{}), "Containers CreatedAt CreatedSince Digest ID Repository SharedSize Size Tag UniqueSize VirtualSize"; got != want {
		t.Errorf("image: %s\nwant %s", got, want)
	}
}

func TestBadFormat(t *testing.T) {
	for format, want := range map[string]string{
		"{{.Foo}}": "failed to execute template: template: :1:2: executing \"\" at <.Foo>: can't evaluate field Foo",
		"{{.ID":    "failed to parse template: template: :1: unclosed action",
	} {
		err := (&psOptions{listing: listing{format: format}}).write(io.Discard, nil)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("ps --format '%s': %v, want %s", format, err, want)
		}
	}
}

func TestListRequest(t *testing.T) {
	o := &psOptions{}
	setFlags(t, o.command(nil), "-l", "--format", "{{.Size}}", "-f", "Name = x", "-f", "name=y")
	got := o.request()
	if !got.Size || got.Last != 1 || got.All {
		t.Errorf("got %+v, want Size, Last 1", got)
	}
	if diff := cmp.Diff(map[string][]string{"name": {"x", "y"}}, map[string][]string(got.Filters)); diff != "" {
		t.Errorf("filters (-want +got):\n%s", diff)
	}
}

func TestImageRows(t *testing.T) {
	i := imageapi.Summary{RepoTags: []string{"a:1", "a:2", "b:1"}, RepoDigests: []string{"a@sha256:1", "c@sha256:3"}}
	var got []string
	for _, row := range imageRows(i, true, true) {
		got = append(got, row.Repository+":"+row.Tag+"@"+row.Digest)
	}
	if diff := cmp.Diff("a:1@sha256:1 a:2@sha256:1 b:1@<none> c:<none>@sha256:3", strings.Join(got, " ")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
