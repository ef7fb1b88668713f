package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/moby/term"

	"minidocker/mydocker/engine"
)

func loadCommand(s *session) *command {
	var input, platform string
	var quiet bool
	return &command{
		Usage: "Load an image from a tar archive or STDIN", ArgsUsage: "[OPTIONS]",
		Description: "mydocker load -i debian.tar",
		Flags: flags("",
			text(&input, "i,input", "Read from tar archive file, instead of STDIN"),
			text(&platform, "platform", `Load only the given platform variant, such as "linux/amd64"`),
			boolean(&quiet, "q,quiet", "Suppress the load output"),
		),
		Action: s.action(func(e *engine.Engine, _ []string) (err error) {
			archive := os.Stdin
			if input != "" {
				if archive, err = os.Open(input); err != nil {
					return exit(1, "%w", err)
				}
				defer archive.Close()
			} else if term.IsTerminal(0) {
				return exit(1, "requested load from stdin, but stdin is empty")
			}
			var show func(layer string, done, total int64)
			if !quiet && term.IsTerminal(1) {
				show = (&progress{w: os.Stdout}).show
			}
			loaded, err := e.Load(context.Background(), archive, platform, show)
			for _, image := range loaded {
				if image.Replaced != "" {
					fmt.Printf("The image %s already exists, renaming the old one with ID %s to empty string\n", image.Name, image.Replaced)
				}
			}
			for _, image := range loaded {
				if image.Name != "" {
					fmt.Println("Loaded image:", image.Name)
				} else {
					fmt.Println("Loaded image ID:", image.ID)
				}
			}
			return err
		}),
	}
}

// progress draws a bar for each layer on a terminal, a line each.
//
//	5f70bf18a086: Loading layer [=====>            ]  1.2MB/3.7MB
type progress struct {
	w      io.Writer
	layers []string // that of each line, from the top
	drawn  time.Time
}

// show draws how many of a layer's bytes are stored, unless nobody would see it.
func (p *progress) show(layer string, done, total int64) {
	line := slices.Index(p.layers, layer)
	if line >= 0 && done < total && time.Since(p.drawn) < 50*time.Millisecond {
		return
	}
	p.drawn = time.Now()
	if line < 0 {
		line = len(p.layers)
		p.layers = append(p.layers, layer)
		fmt.Fprintln(p.w)
	}
	const width = 20
	bar := strings.Repeat("=", int(done*width/max(total, done, 1))) + ">" + strings.Repeat(" ", width)
	up := len(p.layers) - line
	// Up, to the left edge, clear the line, write, and down again: console_codes(4).
	fmt.Fprintf(p.w, "\x1b[%dA\r\x1b[2K%s: Loading layer [%s]  %s/%s\x1b[%dB\r", up, layer, bar[:width],
		units.HumanSizeWithPrecision(float64(done), 4), units.HumanSizeWithPrecision(float64(total), 4), up)
}
