package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"minidocker/mydocker/image"
)

// The lines are those of docker 28.
func TestProgressBar(t *testing.T) {
	for _, test := range []struct {
		current, total int64
		width          int
		want           string
	}{
		{0, 0, 200, ""},
		{1500, 0, 200, "   1.5kB"},
		{0, 3001000, 80, "      0B/3.001MB"},
		{36450, 3001000, 80, " 36.45kB/3.001MB"},
		{3001000, 3001000, 110, " 3.001MB/3.001MB"},
		{0, 100, 111, "[>" + strings.Repeat(" ", 50) + "]       0B/100B"},
		{50, 100, 111, "[" + strings.Repeat("=", 25) + ">" + strings.Repeat(" ", 25) + "]      50B/100B"},
		{100, 100, 200, "[" + strings.Repeat("=", 50) + ">]     100B/100B"},
		{300, 100, 200, "[" + strings.Repeat("=", 50) + ">]     300B"},
		{-5, 100, 200, "[>" + strings.Repeat(" ", 50) + "]      -5B/100B"},
	} {
		if got := bar(test.current, test.total, test.width); got != test.want {
			t.Errorf("%d of %d in %d: %q, want %q", test.current, test.total, test.width, got, test.want)
		}
	}
}

var pulling = []image.Progress{
	{Status: "1: Pulling from rc/img"},
	{Layer: "aaaaaaaaaaaa", Status: "Already exists"},
	{Layer: "bbbbbbbbbbbb", Status: "Pulling fs layer"},
	{Layer: "bbbbbbbbbbbb", Status: "Downloading", Current: 36450, Total: 3001000},
	{Layer: "aaaaaaaaaaaa", Status: "Extracting", Current: 107, Total: 107},
	{Layer: "bbbbbbbbbbbb", Status: "Pull complete"},
	{Status: "2: Pulling from rc/img"},
	{Layer: "bbbbbbbbbbbb", Status: "Already exists"},
}

func TestProgressOnTerminal(t *testing.T) {
	var got strings.Builder
	p := &progress{w: &got, width: func() int { return 80 }}
	for _, x := range pulling {
		p.show(x)
	}
	want := "1: Pulling from rc/img\n" +
		"\n\x1b[1A\x1b[2K\raaaaaaaaaaaa: Already exists \r\x1b[1B" +
		"\n\x1b[1A\x1b[2K\rbbbbbbbbbbbb: Pulling fs layer \r\x1b[1B" +
		"\x1b[1A\x1b[2K\rbbbbbbbbbbbb: Downloading  36.45kB/3.001MB\r\x1b[1B" +
		"\x1b[2A\x1b[2K\raaaaaaaaaaaa: Extracting     107B/107B\r\x1b[2B" +
		"\x1b[1A\x1b[2K\rbbbbbbbbbbbb: Pull complete \r\x1b[1B" +
		"2: Pulling from rc/img\n" +
		"\n\x1b[1A\x1b[2K\rbbbbbbbbbbbb: Already exists \r\x1b[1B"
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestProgressInPipe(t *testing.T) {
	var got strings.Builder
	p := &progress{w: &got}
	for _, x := range pulling {
		p.show(x)
	}
	want := "1: Pulling from rc/img\naaaaaaaaaaaa: Already exists\nbbbbbbbbbbbb: Pulling fs layer\nbbbbbbbbbbbb: Pull complete\n" +
		"2: Pulling from rc/img\nbbbbbbbbbbbb: Already exists\n"
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestProgressPause: numbers that change fast are drawn now and then, words and the last number always.
func TestProgressPause(t *testing.T) {
	var got strings.Builder
	p := &progress{w: &got, width: func() int { return 80 }, pause: time.Hour}
	for n := range int64(101) {
		p.show(image.Progress{Layer: "a", Status: "Downloading", Current: n, Total: 100})
	}
	p.show(image.Progress{Layer: "a", Status: "Extracting", Current: 1, Total: 100})
	if n := strings.Count(got.String(), "\x1b[2K"); n != 3 {
		t.Errorf("drawn %d times:\n%q", n, got.String())
	}
}
