package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/docker/go-units"
)

// progress draws a bar for each layer on a terminal, a line each.
//
//	5f70bf18a086: Loading layer [=====>            ]  1.2MB/3.7MB
type progress struct {
	w     io.Writer
	width int // of the terminal, in columns

	mu    sync.Mutex
	lines []string // the layer of each line, from the top
	drawn time.Time
}

func newProgress(w io.Writer, width int) *progress {
	return &progress{w: w, width: width}
}

// show draws how many of a layer's bytes are stored; total is 0 if unknown. It
// leaves out what the eye would not see.
func (p *progress) show(layer string, done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	line := 0
	for line < len(p.lines) && p.lines[line] != layer {
		line++
	}
	first, last := line == len(p.lines), done == total
	if !first && !last && time.Since(p.drawn) < 50*time.Millisecond {
		return
	}
	p.drawn = time.Now()
	if first {
		p.lines = append(p.lines, layer)
		fmt.Fprintln(p.w)
	}
	up := len(p.lines) - line
	// Up, to the left edge, clear the line, write, and down again: console_codes(4).
	fmt.Fprintf(p.w, "\x1b[%dA\r\x1b[2K%s\x1b[%dB\r", up, p.bar(layer, done, total), up)
}

func (p *progress) bar(layer string, done, total int64) string {
	size := units.HumanSizeWithPrecision(float64(done), 4)
	if total <= 0 {
		return fmt.Sprintf("%s: Loading layer  %s", shortID(layer), size)
	}
	const full = 50
	n := int(min(done, total) * full / total)
	bar := strings.Repeat("=", n) + ">" + strings.Repeat(" ", full-n)
	text := fmt.Sprintf("%s: Loading layer [%s]  %s/%s", shortID(layer), bar[:full], size, units.HumanSizeWithPrecision(float64(total), 4))
	if p.width > 0 && len(text) >= p.width {
		return fmt.Sprintf("%s: Loading layer  %s/%s", shortID(layer), size, units.HumanSizeWithPrecision(float64(total), 4))
	}
	return text
}
