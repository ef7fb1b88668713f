// Package vagrant has only tests: of the scripts that make a classroom machine,
// as far as they can be tried without making one (tests/vm/classroom.sh makes one).
package vagrant

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// bash runs a script after the functions of check.sh, in a fresh directory.
func bash(t *testing.T, script string) (output string, err error) {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "-c", "set -euo pipefail; . "+filepath.Join(here, "check.sh")+"; "+script)
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestScriptsParse(t *testing.T) {
	scripts, err := filepath.Glob("*.sh")
	if err != nil || len(scripts) < 3 {
		t.Fatalf("scripts here: %v, %v", scripts, err)
	}
	machine, err := filepath.Glob("../tests/vm/*.sh")
	if err != nil || len(machine) < 5 {
		t.Fatalf("scripts of the test machine: %v, %v", machine, err)
	}
	for _, script := range append(scripts, machine...) {
		if out, err := exec.Command("bash", "-n", script).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", script, err, out)
		}
	}
}

// The sums of Go's archives are those of the version in go.mod, for each architecture.
func TestGoSums(t *testing.T) {
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\S+)$`).FindSubmatch(mod)
	if version == nil {
		t.Fatal("go.mod names no version of Go")
	}
	sums, err := os.ReadFile("go.sums")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(sums)), "\n")
	if len(lines) != 2 {
		t.Errorf("go.sums has %d lines, not one for each of amd64 and arm64", len(lines))
	}
	for i, arch := range []string{"amd64", "arm64"} {
		line := regexp.MustCompile(fmt.Sprintf(`^[0-9a-f]{64}  v0\.0\.1-go%s\.linux-%s\.zip$`, regexp.QuoteMeta(string(version[1])), arch))
		if i < len(lines) && !line.MatchString(lines[i]) {
			t.Errorf("go.sums, line %d: %q, want the SHA-256 of Go %s for %s", i+1, lines[i], version[1], arch)
		}
	}
}

// An archive with another sum stops everything, both sums named, and does not stay behind.
func TestGoWithAnotherSum(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("no curl here")
	}
	proxy := t.TempDir()
	out, err := bash(t, "go_zip amd64")
	if err != nil {
		t.Fatalf("go_zip: %v\n%s", err, out)
	}
	name := strings.TrimSpace(out)
	write(t, filepath.Join(proxy, "golang.org/toolchain/@v", name), "not Go")
	out, err = bash(t, "fetch_go amd64 got.zip off,file:///nowhere,file://"+proxy+"; echo fetched")
	if err == nil || strings.Contains(out, "fetched") {
		t.Fatalf("an archive that is not Go was taken: %s", out)
	}
	sums, err := os.ReadFile("go.sums")
	if err != nil {
		t.Fatal(err)
	}
	for _, sum := range []string{fmt.Sprintf("%x", sha256.Sum256([]byte("not Go"))), string(sums[:64])} {
		if !strings.Contains(out, sum) {
			t.Errorf("no word of the sum %s: %s", sum, out)
		}
	}
}

func TestNoProxyHasGo(t *testing.T) {
	out, err := bash(t, "fetch_go amd64 got.zip direct")
	if err == nil || !strings.Contains(out, "no proxy of direct gave golang.org/toolchain") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestKit(t *testing.T) {
	sum := func(content string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(content))) }
	for _, test := range []struct {
		name, want string // want: what the refusal says; "" is no refusal
		damage     func(t *testing.T, kit string)
	}{
		{"whole", "", func(*testing.T, string) {}},
		{"changed", "debs/a.deb: FAILED", func(t *testing.T, kit string) { write(t, kit+"/debs/a.deb", "b") }},
		{"more", "not have the same files: bin/more", func(t *testing.T, kit string) { write(t, kit+"/bin/more", "") }},
		{"less", "not have the same files: KIT", func(t *testing.T, kit string) {
			if err := os.Remove(kit + "/KIT"); err != nil {
				t.Fatal(err)
			}
		}},
		{"a line that is none", "improperly formatted", func(t *testing.T, kit string) {
			write(t, kit+"/SHA256SUMS", strings.Replace(sum("a")+"  debs/a.deb\n"+sum("k")+"  KIT\n", sum("a"), strings.Repeat("x", 64), 1))
		}},
		{"no list", "is no classroom kit", func(t *testing.T, kit string) {
			if err := os.Remove(kit + "/SHA256SUMS"); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			kit := filepath.Join(t.TempDir(), "a kit")
			write(t, kit+"/KIT", "k")
			write(t, kit+"/debs/a.deb", "a")
			write(t, kit+"/SHA256SUMS", sum("k")+"  KIT\n"+sum("a")+"  debs/a.deb\n")
			test.damage(t, kit)
			out, err := bash(t, fmt.Sprintf("verify_kit %q; echo verified", kit))
			verified := err == nil && strings.Contains(out, "verified")
			switch {
			case test.want == "" && !verified:
				t.Errorf("refused: %v: %s", err, out)
			case test.want != "" && verified:
				t.Errorf("taken, want %q", test.want)
			case !strings.Contains(out, test.want):
				t.Errorf("says %q, want %q", out, test.want)
			}
		})
	}
}

// Each package is named once, in a form that provision.sh and kit.sh read.
func TestPackages(t *testing.T) {
	out, err := bash(t, `sed 's/#.*//' "$here/packages"`)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, name := range strings.Fields(out) {
		if seen[name] || !regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`).MatchString(name) {
			t.Errorf("package %q", name)
		}
		seen[name] = true
	}
	for _, name := range []string{"busybox-static", "curl", "make", "unzip"} {
		if !seen[name] {
			t.Errorf("no package %s: provision.sh and the Makefile need it", name)
		}
	}
}

func TestVagrantfile(t *testing.T) {
	vagrant, err := exec.LookPath("vagrant")
	if err != nil {
		t.Skip("not installed here: vagrant, which would say whether it takes the Vagrantfile")
	}
	plugins, err := exec.Command(vagrant, "plugin", "list").Output()
	if err != nil {
		t.Fatalf("vagrant plugin list: %v", err)
	}
	for _, provider := range []string{"virtualbox", "libvirt", "qemu"} {
		if provider != "virtualbox" && !strings.Contains(string(plugins), "vagrant-"+provider) {
			t.Logf("not tried: vagrant-%s is not installed", provider)
			continue
		}
		cmd := exec.Command(vagrant, "validate", "--ignore-provider")
		cmd.Dir = ".."
		cmd.Env = append(os.Environ(), "VAGRANT_DEFAULT_PROVIDER="+provider, "VAGRANT_DOTFILE_PATH="+t.TempDir())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("vagrant validate for %s: %v\n%s", provider, err, out)
		}
	}
}
