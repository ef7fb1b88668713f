package check

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Engine is the program under test: a command line that "run ..." is added to.
type Engine struct {
	Command string   `json:"command"` // as it was given
	Files   []File   `json:"files"`   // what of it are programs
	words   []string // the first one is a path
}

// File is a file and the SHA-256 of its content.
type File struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
}

// NewEngine splits a command line as a shell would, quotes and backslashes but no
// expansion, and finds its program by PATH.
func NewEngine(command string) (*Engine, error) {
	words, err := split(command)
	if err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return nil, errors.New("--engine names no program")
	}
	for i := range words[1:] {
		if filepath.Base(words[i]) == "go" && words[i+1] == "run" {
			return nil, errors.New("--engine: \"go run\" cannot be checked: it exits with 1 whatever your engine's status was, " +
				"and does not pass SIGTERM on.\nBuild the engine, then name the program: go build -o engine . && labs check ... --engine ./engine")
		}
	}
	e := &Engine{Command: command, words: slices.Clone(words)}
	if e.words[0], err = exec.LookPath(words[0]); err != nil && !errors.Is(err, exec.ErrDot) {
		return nil, fmt.Errorf("--engine: %w", err)
	}
	if e.words[0], err = filepath.Abs(e.words[0]); err != nil {
		return nil, err
	}
	for _, word := range e.words {
		if data, err := os.ReadFile(word); err == nil {
			e.Files = append(e.Files, File{word, fmt.Sprintf("%x", sha256.Sum256(data))})
		}
	}
	return e, nil
}

// split splits a line into words by a shell's rules of quoting.
func split(line string) (words []string, err error) {
	var word strings.Builder
	inWord, quote := false, rune(0)
	escaped := false
	for _, c := range line {
		switch {
		case escaped:
			if quote == '"' && !strings.ContainsRune("\"\\$`", c) {
				word.WriteRune('\\')
			}
			word.WriteRune(c)
			escaped = false
		case c == '\\' && quote != '\'':
			escaped, inWord = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '\'' || c == '"':
			quote, inWord = c, true
		case strings.ContainsRune(" \t\n", c):
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
		default:
			word.WriteRune(c)
			inWord = true
		}
	}
	if quote != 0 || escaped {
		return nil, fmt.Errorf("--engine: a quote or backslash without its end in %q", line)
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// Quote writes words so that bash reads them as they are.
func Quote(words ...string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = word
		switch {
		case strings.Contains(word, "\n"): // in one line all the same
			quoted[i] = "$'" + strings.NewReplacer("\\", `\\`, "'", `\'`, "\n", `\n`).Replace(word) + "'"
		case word == "" || strings.ContainsFunc(word, needsQuotes):
			quoted[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

func needsQuotes(c rune) bool {
	return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=/.,:@%", c)
}
