package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/moby/term"

	"minidocker/mydocker/image"
)

// progress tells how an image's layers get on, in Docker's way. On a terminal each
// has a line, drawn anew when it changes; elsewhere what has numbers is left out.
//
//	5f70bf18a086: Downloading [=====>            ]  1.2MB/3.7MB
type progress struct {
	w      io.Writer
	width  func() int // of the terminal, in characters; nil: it is none
	pause  time.Duration
	layers []string // that of each line, from the top
	drawn  map[string]drawing
}

// drawing is what stands in a layer's line, and since when.
type drawing struct {
	status string
	since  time.Time
}

// showProgress is a progress.show for a file.
func showProgress(file *os.File, quiet bool) func(image.Progress) {
	if quiet {
		return func(image.Progress) {}
	}
	p := &progress{w: file, pause: 50 * time.Millisecond}
	if term.IsTerminal(file.Fd()) {
		p.width = func() int {
			size, err := term.GetWinsize(file.Fd())
			if err != nil {
				return 200 // as Docker
			}
			return int(size.Width)
		}
	}
	return p.show
}

// show tells what has happened, unless nobody would see it.
func (p *progress) show(x image.Progress) {
	switch {
	case strings.HasPrefix(x.Status, "Pulling from "): // x.Layer is a tag
		p.show(image.Progress{Status: x.Layer + ": " + x.Status})
	case x.Layer == "": // its line parts the lines before from those that come
		p.layers, p.drawn = nil, nil
		fmt.Fprintln(p.w, x.Status)
	case p.width != nil:
		p.draw(x)
	case x.Current <= 0 && x.Total <= 0:
		fmt.Fprintf(p.w, "%s: %s\n", x.Layer, x.Status)
	}
}

// draw draws a layer's line anew, or below the others.
func (p *progress) draw(x image.Progress) {
	last := p.drawn[x.Layer]
	if last.status == x.Status && x.Current < x.Total && time.Since(last.since) < p.pause {
		return
	}
	var text strings.Builder // written at once, so that nothing flickers
	line := slices.Index(p.layers, x.Layer)
	if line < 0 {
		line = len(p.layers)
		p.layers = append(p.layers, x.Layer)
		text.WriteByte('\n')
	}
	up := len(p.layers) - line
	// Up, clear the line, to its left edge, write, and down again: console_codes(4).
	fmt.Fprintf(&text, "\x1b[%dA\x1b[2K\r%s: %s %s\r\x1b[%dB", up, x.Layer, x.Status, bar(x.Current, x.Total, p.width()), up)
	io.WriteString(p.w, text.String())
	if p.drawn == nil {
		p.drawn = map[string]drawing{}
	}
	p.drawn[x.Layer] = drawing{x.Status, time.Now()}
}

// bar draws how much is done, with an arrow if there is room for one.
func bar(current, total int64, width int) string {
	done := fmt.Sprintf("%8v", units.HumanSize(float64(current)))
	switch {
	case current <= 0 && total <= 0:
		return ""
	case total <= 0:
		return done
	}
	const most = 50
	filled := max(0, min(most, int(float64(current)/float64(total)*100)/2))
	arrow := ""
	if width > 110 {
		arrow = "[" + strings.Repeat("=", filled) + ">" + strings.Repeat(" ", most-filled) + "] "
	}
	if current <= total {
		done += "/" + units.HumanSize(float64(total))
	}
	return arrow + done
}
