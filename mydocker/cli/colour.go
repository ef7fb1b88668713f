package cli

import (
	"io"
	"os"

	"github.com/moby/term"
)

// verdict is good news in green or bad news in red (ECMA-48, SGR), if w is a terminal
// and the user did not refuse colours (https://no-color.org).
func verdict(w io.Writer, good bool, text string) string {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" || !term.IsTerminal(file.Fd()) {
		return text
	}
	return map[bool]string{true: "\x1b[32m", false: "\x1b[31m"}[good] + text + "\x1b[0m"
}
