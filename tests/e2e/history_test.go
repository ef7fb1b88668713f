package e2e

import (
	"regexp"
	"strings"
	"testing"
)

// TestHistory compares with what docker 28 prints for the same history.
func TestHistory(t *testing.T) {
	h := emptyHost(t)
	t.Parallel()
	layer := archive(t, directory("d"), file("d/f", strings.Repeat("x", 1500)))
	h.write(h.dir("x")+"/x.tar", string(layer))
	id := h.ok("import", "-m", "a comment", h.dir("x")+"/x.tar", "h:1")
	equal(t, "-q", h.ok("history", "-q", "h:1"), id[7:19])
	equal(t, "-q --no-trunc", h.ok("history", "-q", "--no-trunc", "h:1"), id)
	words := strings.Join(strings.Fields(h.ok("history", "h:1")), " ")
	if !regexp.MustCompile(`^IMAGE CREATED CREATED BY SIZE COMMENT ` + id[7:19] + ` .* ago 1.5kB a comment$`).MatchString(words) {
		t.Errorf("table: %s", words)
	}
	table := h.ok("history", "-H=false", "h:1")
	if !regexp.MustCompile(`(?m)^IMAGE          CREATED AT             CREATED BY   SIZE      COMMENT\n` + id[7:19] + `   \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ                1500      a comment$`).MatchString(table) {
		t.Errorf("-H=false: %s", table)
	}
	equal(t, "format", h.ok("history", "--format", "{{.ID}} {{.Size}} {{.Comment}}", "h:1"), id[7:19]+" 1.5kB a comment")
	if out := h.ok("history", "--format", "json", "h:1"); !strings.HasPrefix(out, `{"Comment":"a comment","CreatedAt":"`) || !strings.HasSuffix(out, `"ID":"`+id[7:19]+`","Size":"1.5kB"}`) {
		t.Errorf("json: %s", out)
	}
	h.fails(1, []string{"No such image: nosuch:latest"}, "history", "nosuch")
	h.fails(1, []string{"'mydocker history' requires 1 argument"}, "history", "a", "b")

	if r := h.tryWith(string(dockerArchive(t, []string{"h:2"}, layer)), "load"); r.code != 0 {
		t.Fatal(r)
	}
	h.ok("history", "h:2") // it has no history
}
