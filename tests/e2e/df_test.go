package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDiskUsage(t *testing.T) {
	h := newHost(t)
	h.small("one", 300000)
	h.small("two", 300000, "ENV A=1") // the same layer
	h.ok("create", "--name", "made", "one", "/f")
	h.ok("run", "--name", "wrote", "busybox", "sh", "-c", "head -c 100000 /dev/zero >/x")
	h.ok("run", "-d", "--name", "runs", "busybox", "sh", "-c", "head -c 50000 /dev/zero >/x; exec sleep 1000000")
	h.eventually("the file is there", func() bool { return strings.Contains(h.ok("ps", "-s"), "50kB") })

	size := h.ok("inspect", "-f", "{{.Size}}", "busybox")
	got := lines(h.ok("system", "df"))
	images := strings.Split(got[1], "|")
	if images[0] != "Images" || images[1] != "3" || images[2] != "2" {
		t.Errorf("images: %s, busybox has %s", got[1], size)
	}
	if diff := cmp.Diff([]string{"Containers|3|1|150kB|100kB (66%)", "Local Volumes|0|0|0B|0B", "Build Cache|0|0|0B|0B"}, got[2:]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	equal(t, "format", h.ok("system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}}"), "Images 3 2\nContainers 3 1\nLocal Volumes 0 0\nBuild Cache 0 0")
	for line := range strings.Lines(h.ok("system", "df", "--format", "json")) {
		var row map[string]string
		if err := json.Unmarshal([]byte(line), &row); err != nil || len(row) != 5 || row["Reclaimable"] == "" {
			t.Errorf("%s: %v", line, err)
		}
	}

	details := h.ok("system", "df", "-v")
	for _, want := range []string{
		"Images space usage:||REPOSITORY|TAG|IMAGE ID|CREATED|SIZE|SHARED SIZE|UNIQUE SIZE|CONTAINERS|",
		"|one|latest|ID|TIME ago|300kB|300kB|0B|1|", "|two|latest|ID|TIME ago|300kB|300kB|0B|0|",
		"||Containers space usage:||CONTAINER ID|IMAGE|COMMAND|LOCAL VOLUMES|SIZE|CREATED|STATUS|NAMES|",
		`|"sh -c 'head -c 1000…"|0|100kB|TIME ago|Exited (0) TIME ago|wrote|`,
		"||Local Volumes space usage:||VOLUME NAME|LINKS|SIZE||Build cache usage: 0B||CACHE ID|CACHE TYPE|SIZE|CREATED|LAST USED|USAGE|SHARED",
	} {
		if !strings.Contains(strings.Join(lines(details), "|"), want) {
			t.Errorf("no %q in\n%s", want, details)
		}
	}
	var all map[string][]map[string]any
	if err := json.Unmarshal([]byte(h.ok("system", "df", "-v", "--format", "json")), &all); err != nil {
		t.Fatal(err)
	}
	if len(all["Images"]) != 3 || len(all["Containers"]) != 3 || all["Volumes"] == nil || all["BuildCache"] == nil {
		t.Errorf("%v", all)
	}
}
