package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"minidocker/mydocker/disk"

	"github.com/urfave/cli/v2"
)

var _ = register(&cli.Command{
	Name:      "hint",
	Usage:     "one more level of help with a check each time",
	ArgsUsage: "LAB CHECK [--again] [--reset]",
	Flags: []cli.Flag{
		&cli.BoolFlag{Name: "again", Usage: "repeat those that you have had"},
		&cli.BoolFlag{Name: "reset", Usage: "forget which you have had"},
	},
	Action: runHint,
})

func runHint(c *cli.Context) error {
	if err := arguments(c, 2, 2); err != nil {
		return err
	}
	lab, err := labOf(c.Args().First())
	if err != nil {
		return err
	}
	one := lab.Find(c.Args().Get(1))
	if one == nil {
		return fmt.Errorf("lab %d has no check %q; labs list %[1]d names them", lab.Number, c.Args().Get(1))
	}
	had, err := readHints()
	if err != nil {
		return err
	}
	key := lab.Name + "/" + one.Name
	from := had[key]
	switch {
	case c.Bool("reset"):
		delete(had, key)
		return writeHints(had)
	case c.Bool("again"):
		from = 0
	case from < len(one.Hints):
		had[key]++
	default:
		fmt.Printf("That was all. The book has it in %s; --again repeats the hints.\n", one.Section)
		return nil
	}
	for i := from; i < had[key]; i++ {
		fmt.Printf("%d of %d: %s\n", i+1, len(one.Hints), one.Hints[i])
	}
	if c.Bool("again") && had[key] == 0 {
		fmt.Println("You have had none yet.")
	}
	return writeHints(had)
}

// hintsFile remembers how many hints to each check its user has had: {"01-namespaces/pid": 2}.
func hintsFile() (string, error) {
	dir := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(dir) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("where to remember the hints: %w", err)
		}
		dir = filepath.Join(home, ".local/state")
	}
	return filepath.Join(dir, "mydocker-labs", "hints.json"), nil
}

func readHints() (map[string]int, error) {
	had := map[string]int{}
	file, err := hintsFile()
	if err != nil {
		return nil, err
	}
	if err := disk.ReadJSON(file, &had); errors.Is(err, fs.ErrNotExist) {
		return had, nil
	} else if err != nil {
		return nil, fmt.Errorf("%w; remove it to begin anew", err)
	}
	for name, count := range had { // a lab may have fewer hints than it had
		lab, one, _ := strings.Cut(name, "/")
		if l, err := labOf(lab); err == nil && l.Find(one) != nil {
			had[name] = max(0, min(count, len(l.Find(one).Hints)))
		}
	}
	return had, nil
}

func writeHints(had map[string]int) error {
	file, err := hintsFile()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return disk.WriteJSON(file, had, disk.Volatile)
}
