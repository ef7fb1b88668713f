package namespaces

import "minidocker/labs/check"

var argvVector = check.Check{
	Name:    "argv-vector",
	Title:   "the command gets its words as they were given: blanks, quotes, empty ones",
	Section: chapter + "words-that-fall-apart",
	Hints: []string{
		"A command is not a line of text. execve(2) takes a vector: one string for each word.",
		"Look for the place where your engine makes one string of the words. No shell may read them again.",
		"In Go: exec.Command(words[0], words[1:]...), or syscall.Exec(path, words, environment). Neither \"sh -c\" nor strings.Join.",
	},
	Explain: []string{
		`tr '\0' '\n' < /proc/$PID/cmdline     # a line for each word, as the kernel has them`,
	},
	Run: func(t *check.Trial) error {
		c, err := t.Start(nil, "wait", "two  words", "", "*", `"double" 'single' \n`, "$HOME `id`", "line\nbreak", "--hostname", t.Name())
		if err != nil {
			return err // the words are what it was looked for by
		}
		return c.Release()
	},
}
