package e2e

import (
	"regexp"
	"strings"
	"testing"
)

func TestImagesMore(t *testing.T) {
	h := newHost(t)
	id := h.ok("images", "-q", "--no-trunc")
	h.ok("tag", "busybox", "me/box:1")
	h.ok("tag", "busybox", "localhost:5000/box")
	rows := "{{.Repository}} {{.Tag}} {{.Digest}}"
	all := "busybox latest <none>\nlocalhost:5000/box latest <none>\nme/box 1 <none>"
	equal(t, "names", h.ok("images", "--format", rows), all)
	for filter, want := range map[string]string{
		"reference=me/*": "me/box 1 <none>", "reference=*box": "busybox latest <none>", "reference=*/*:1": "me/box 1 <none>", "dangling=true": "", "dangling=false": all,
		"label=x": "", "since=busybox": "", "before=busybox": "", "until=1m": "",
	} {
		equal(t, filter, h.ok("images", "--filter", filter, "--format", rows), want)
	}
	equal(t, "by name", h.ok("images", "--format", rows, "me/box"), "me/box 1 <none>")
	equal(t, "-q", h.ok("images", "-q"), strings.TrimSuffix(strings.Repeat(id[7:19]+"\n", 3), "\n"))
	ago := regexp.MustCompile(`(Less than a|About a|\d+) (second|minute)s? ago +`)
	equal(t, "--digests", ago.ReplaceAllString(strings.Split(h.ok("images", "--digests", "busybox"), "\n")[1], "AGO "),
		"busybox      latest    <none>    "+id[7:19]+"   AGO "+h.ok("images", "--format", "{{.Size}}", "busybox"))
	equal(t, "format wins", h.ok("images", "-q", "--format", "{{.Tag}} {{.Containers}}", "busybox"), "latest N/A")
	h.fails(1, []string{"syntax error in pattern"}, "images", "--filter", "reference=[")
	h.fails(1, []string{"invalid filter 'foo'"}, "images", "--filter", "foo=bar")
	h.fails(1, []string{"invalid filter 'dangling=[maybe]'"}, "images", "--filter", "dangling=maybe")
	h.fails(1, []string{"No such image: nosuch:latest"}, "images", "--filter", "before=nosuch")
	h.fails(125, []string{"--tree is not supported"}, "images", "--tree")
	equal(t, "inspect", h.ok("image", "inspect", "-f", "{{.Parent}}|{{.RepoDigests}}|{{.GraphDriver.Name}}|{{len .RepoTags}}", "busybox"), "|[]|overlay2|3")
	if out := h.ok("image", "inspect", "-f", "{{.Metadata.LastTagTime}}", "busybox"); strings.HasPrefix(out, "0001") {
		t.Errorf("LastTagTime %s", out)
	}
}
