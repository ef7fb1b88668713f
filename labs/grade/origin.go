package grade

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Origin is what a submission is made of.
type Origin struct {
	Language string   `json:"language"`           // "Go", or "unknown"
	Packages []string `json:"packages,omitempty"` // of the engine, without "minidocker/mydocker/"
	Notes    []string `json:"notes,omitempty"`    // what a teacher should look at
}

// limit is how long a submission may take to build.
const limit = 5 * time.Minute

const engine = "minidocker/mydocker/"

// introduced is the lab in which a reader writes what a package of the engine does. Of
// the packages below, an engine for a later lab may make use.
var introduced = map[string]int{"trace": 0, "namespace": 1, "rootfs": 2, "cgroup": 3}

// build makes a program of the source in dir: a Go module, built against this project
// wherever the student had it; else what "make" leaves as dir/engine; else a program
// of that name that is there already.
func (g *Grader) build(dir, scratch string) (program string, err error) {
	program = filepath.Join(scratch, "engine")
	if exists(dir, "go.mod") {
		if err := g.moveModule(dir, scratch); err != nil {
			return "", err
		}
		_, err := g.goCommand(dir, scratch, "build", "-o", program, ".")
		return program, err
	}
	if exists(dir, "Makefile") {
		if _, err := execute(dir, "make"); err != nil {
			return "", err
		}
	}
	program = filepath.Join(dir, "engine")
	if info, err := os.Stat(program); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
		return "", fmt.Errorf("build %s: no go.mod, and no program \"engine\" that can be executed, after make if it has a Makefile", dir)
	}
	return filepath.Abs(program)
}

// moveModule makes a go.mod in scratch that finds this project here.
func (g *Grader) moveModule(dir, scratch string) error {
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) && name == "go.sum" {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(scratch, name), data, 0o644)
		}
		if err != nil {
			return err
		}
	}
	if data, err := os.ReadFile(filepath.Join(scratch, "go.mod")); err != nil || !strings.Contains(string(data), "minidocker") {
		return err
	}
	_, err := execute(dir, "go", "mod", "edit", "-replace", "minidocker="+g.Top, filepath.Join(scratch, "go.mod"))
	return err
}

func (g *Grader) goCommand(dir, scratch, verb string, args ...string) (string, error) {
	return execute(dir, "go", append([]string{verb, "-modfile", filepath.Join(scratch, "go.mod")}, args...)...)
}

// execute runs a program in dir and gives its output.
func execute(dir, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	command := exec.CommandContext(ctx, name, args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	out, err := command.CombinedOutput()
	if ctx.Err() != nil {
		err = fmt.Errorf("no end after %s", limit)
	}
	if err != nil {
		return "", fmt.Errorf("%s %s in %s: %w\n%s", name, strings.Join(args, " "), dir, err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// origin says what a submission that could be built is made of.
func (g *Grader) origin(dir, scratch string) Origin {
	if !exists(dir, "go.mod") {
		return Origin{Language: "unknown"}
	}
	o := Origin{Language: "Go"}
	out, err := g.goCommand(dir, scratch, "list", "-deps", ".")
	if err != nil {
		o.Notes = append(o.Notes, "its packages cannot be listed: "+err.Error())
	}
	for name := range strings.Lines(out) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(name), engine); ok {
			o.Packages = append(o.Packages, name)
		}
	}
	slices.Sort(o.Packages)
	for _, lab := range g.Labs {
		for _, name := range o.Packages {
			if introduced[name] == lab.Number && !g.given(lab.Name, name) {
				o.Notes = append(o.Notes, fmt.Sprintf("lab %d: package %s is the answer", lab.Number, name))
			}
		}
		if found, of := g.copied(dir, lab.Name); of > 0 && found*2 >= of {
			o.Notes = append(o.Notes, fmt.Sprintf("lab %d: %d of the %d lines that chapters/%s/main.go has and the starter has not are in it",
				lab.Number, found, of, lab.Name))
		}
	}
	for _, name := range o.Packages {
		if _, known := introduced[name]; !known {
			o.Notes = append(o.Notes, "package "+name+" is of a later chapter: it may be the whole engine")
		}
	}
	return o
}

// given tells whether a lab's starter itself imports a package of the engine.
func (g *Grader) given(lab, name string) bool {
	return linesBelow(filepath.Join(g.Top, "labs", lab, "starter"))[strconv.Quote(engine+name)]
}

// copied counts the lines of a lab's stage that its starter does not have, and how many
// of them are in the Go files of dir.
func (g *Grader) copied(dir, lab string) (found, of int) {
	stage := lines(filepath.Join(g.Top, "chapters", lab, "main.go"))
	starter := linesBelow(filepath.Join(g.Top, "labs", lab, "starter"))
	handed := linesBelow(dir)
	for line := range stage {
		if !starter[line] {
			of++
			if handed[line] {
				found++
			}
		}
	}
	return found, of
}

// lines are the lines of a Go file that say something: no comments, and none so short
// that everybody writes them.
func lines(path string) map[string]bool {
	data, _ := os.ReadFile(path)
	set := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); len(line) > 12 && !strings.HasPrefix(line, "//") && !strings.HasPrefix(line, "return") {
			set[line] = true
		}
	}
	return set
}

// linesBelow are the lines of all Go files in dir.
func linesBelow(dir string) map[string]bool {
	all := map[string]bool{}
	files, _ := filepath.Glob(filepath.Join(dir, "*.go"))
	for _, file := range files {
		maps.Copy(all, lines(file))
	}
	return all
}

func exists(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}
