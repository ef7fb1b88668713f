package escape

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// cut takes a guard out: in file, below mydocker/, with stands in the place of text.
type cut struct{ file, text, with string }

// builds gives the cuts of each binary.
func builds(ways []way) map[string][]cut {
	all := map[string][]cut{}
	for _, w := range ways {
		if w.build != "" {
			all[w.build] = append(all[w.build], w.cuts...)
		}
	}
	return all
}

var linking sync.Mutex // one go command uses all processors already

// build makes a binary without guards in dir, or gives the one that was made before.
func build(dir, name string, cuts []cut) (string, error) {
	if made := os.Getenv("MYDOCKER_ESCAPE_BUILDS"); made != "" {
		return filepath.Join(made, name), nil
	}
	if _, err := exec.LookPath("go"); err != nil {
		return "", err
	}
	linking.Lock()
	defer linking.Unlock()
	top, err := filepath.Abs("../..")
	if err != nil {
		return "", err
	}
	sources := map[string]string{}
	overlay := map[string]string{}
	for _, c := range cuts {
		path := filepath.Join(top, "mydocker", c.file)
		if sources[path] == "" {
			data, err := os.ReadFile(path)
			if err != nil {
				return "", err
			}
			sources[path] = string(data)
		}
		if n := strings.Count(sources[path], c.text); n != 1 {
			return "", fmt.Errorf("build %s: %d times in %s, and not once, as the test has it:\n%s", name, n, c.file, c.text)
		}
		sources[path] = strings.Replace(sources[path], c.text, c.with, 1)
		overlay[path] = fmt.Sprintf("%s/%s-%s", dir, name, strings.ReplaceAll(c.file, "/", "-"))
	}
	for path, text := range sources {
		if err := os.WriteFile(overlay[path], []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, name)
	if err := os.WriteFile(binary+".json", list, 0o644); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-overlay", binary+".json", "-tags", "urfave_cli_no_docs", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", binary, "./mydocker")
	cmd.Dir = top
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return binary, nil
}
