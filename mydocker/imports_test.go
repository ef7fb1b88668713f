package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// chapters gives the chapter of the book that introduces a package, and below
// it the chapter of each file that comes later than its package.
var chapters = map[string]int{
	"trace": 1, "namespace": 1, "rootfs": 2, "cgroup": 3, "disk": 4, "overlay": 4, "image": 5, "image/layer": 5, "image/registry": 5, "volume": 6,
	"network": 7, "network/ipam": 7, "network/nft": 7, "network/dns": 7, "network/proxy": 7,
	"security": 8, "spec": 9, "runtime": 9, "oci": 9, "container": 10, "journal": 10, "logfile": 10, "attach": 10,
	"monitor": 10, "engine": 10, "cli": 11, ".": 11,

	"namespace/thread.go": 4, "namespace/loopback.go": 7, "namespace/enter.go": 7, "namespace/call.go": 8, "namespace/child.go": 8, "namespace/child_amd64.s": 8, "namespace/child_arm64.s": 8, "namespace/fork.go": 8, "namespace/userns.go": 8, "namespace/join.go": 9, "namespace/inside.go": 9,
	"rootfs/apart.go": 6, "rootfs/mask.go": 8, "rootfs/idmap.go": 8, "rootfs/node.go": 8, "rootfs/proc.go": 9, "rootfs/names.go": 9,
	"cgroup/devices.go": 8, "cgroup/devices_v2.go": 8, "cgroup/resolve.go": 9, "cgroup/reopen.go": 9, "cgroup/systemd.go": 9, "cgroup/systemd_props.go": 9,
	"cgroup/details.go": 9, "cgroup/oom.go": 9,
	"disk/watch.go":   10,
	"overlay/size.go": 10,
}

// file is one source file of the engine, tests left out.
type file struct {
	path    string // relative to mydocker/
	chapter int
	imports []string // of the engine, as keys of chapters
}

const module = "minidocker/mydocker/"

func sources(t *testing.T) []file {
	t.Helper()
	var files []file
	used := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		assembly := filepath.Ext(path) == ".s"
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" && !assembly || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f := file{path: path}
		pkg := filepath.Dir(path)
		if f.chapter = chapters[path]; f.chapter == 0 {
			f.chapter = chapters[pkg]
		} else if f.chapter < chapters[pkg] {
			t.Errorf("%s: its chapter is before that of its package", path)
		}
		used[path], used[pkg] = true, true
		if f.chapter == 0 {
			t.Errorf("%s: package %s has no chapter", path, pkg)
		}
		if assembly {
			files = append(files, f)
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range parsed.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			if inside, ok := strings.CutPrefix(name, module); ok {
				f.imports = append(f.imports, inside)
			}
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range chapters {
		if !used[name] {
			t.Errorf("%s has a chapter and is not there", name)
		}
	}
	return files
}

// TestImportOrder asserts that the order of the book is the order of imports.
func TestImportOrder(t *testing.T) {
	for _, f := range sources(t) {
		for _, name := range f.imports {
			if chapters[name] > f.chapter {
				t.Errorf("%s (chapter %d) imports %s (chapter %d)", f.path, f.chapter, name, chapters[name])
			}
		}
	}
}

// TestStages builds what a reader has after each chapter: the files up to it,
// and no others.
func TestStages(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("stages are built with go, which this machine does not have (the test machine has binaries only)")
	}
	files := sources(t)
	for chapter := 1; chapter <= 11; chapter++ {
		stage := t.TempDir()
		count := 0
		for _, f := range files {
			if f.chapter <= chapter {
				copyTo(t, f.path, filepath.Join(stage, "mydocker", f.path))
				count++
			}
		}
		for _, name := range []string{"go.mod", "go.sum"} {
			copyTo(t, filepath.Join("..", name), filepath.Join(stage, name))
		}
		copyTree(t, "security/syscalls", filepath.Join(stage, "mydocker/security/syscalls")) // embedded
		copyTree(t, "oci/templates", filepath.Join(stage, "mydocker/oci/templates"))
		copyTree(t, "cli/completion", filepath.Join(stage, "mydocker/cli/completion"))
		cmd := exec.Command("go", "vet", "-tags", "urfave_cli_no_docs", "./...")
		cmd.Dir = stage
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("stage %d (%d files): %v\n%s", chapter, count, err, out)
		}
	}
}

// TestSize asserts that the engine stays readable (lines of Go without tests).
func TestSize(t *testing.T) {
	const limit = 40000
	total := 0
	for _, f := range sources(t) {
		data, err := os.ReadFile(f.path)
		if err != nil {
			t.Fatal(err)
		}
		total += strings.Count(string(data), "\n")
	}
	t.Logf("%d lines", total)
	if total >= limit {
		t.Errorf("the engine has %d lines, the limit is %d", total, limit)
	}
}

func copyTo(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(to), 0o755)
	}
	if err == nil {
		err = os.WriteFile(to, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		copyTo(t, filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name()))
	}
}
