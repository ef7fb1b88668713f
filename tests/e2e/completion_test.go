package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// shell prepares a shell in which mydocker is the program under test.
func (h *host) shell(name string, args ...string) *exec.Cmd {
	h.t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		h.t.Fatalf("%v: labs/need.sh %s", err, name)
	}
	cmd := h.command()
	cmd.Path, cmd.Args = path, append([]string{name}, args...)
	absolute, err := filepath.Abs(binary)
	if err != nil {
		h.t.Fatal(err)
	}
	cmd.Env = append(cmd.Env, "PATH="+filepath.Dir(absolute)+":"+os.Getenv("PATH"), "TERM=xterm", "HOME="+h.dir("home"))
	return cmd
}

// completed is what a shell answers, without descriptions.
func completed(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	var words []string
	for line := range strings.Lines(string(out)) {
		word, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func twoContainers(h *host) {
	h.t.Helper()
	h.ok("run", "-d", "--name", "web", "busybox", "sleep", "1000000")
	h.ok("create", "--name", "made", "busybox")
}

// What may stand in a place, the same for every shell.
func completions(h *host) map[string]string {
	return map[string]string{
		"sto": "stop", "container sto": "stop", "help imag": "image images", "zzz ": "", "container zzz ": "", "--ru": "--run-root",
		"exec ": "web", "stop ": "web", "start ": "made", "rm ": "made", "rm -f ": "made web", "logs -n 5 ": "made web", "logs -- ": "made web",
		"unpause ": "", "exec web ": "", "run --rm busybox ": "", "container inspect ": "made web", "image inspect ": "busybox:latest",
		"run bus": "busybox:latest", "push bus": "busybox:latest", "pull ": "", "--config " + h.root + "/ima": h.root + "/image", "inspect ": "made web busybox:latest bridge host none", "tag busybox b": "busybox:latest",
		"run --priv": "--privileged", "run --network ": "bridge container: host none", "run --network container:": "container: container:web", "network rm n": "none", "network connect bridge m": "made", "ps --format ": "json table", "--root /nowhere exec ": "", "completion z": "zsh",
		"import " + h.root + "/ima": h.root + "/image", "run --env-file " + h.root + "/ima": h.root + "/image",
	}
}

func TestCompletionBash(t *testing.T) {
	h := newHost(t)
	twoContainers(h)
	complete := func(line, words string) string {
		script := "set -u; source <(mydocker completion bash); COMP_WORDS=(mydocker " + words + "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n" +
			line + "\n_mydocker; printf '%s\\n' ${COMPREPLY[@]+\"${COMPREPLY[@]}\"}"
		return strings.TrimSpace(completed(t, h.shell("bash", "--norc", "-c", script)))
	}
	for line, want := range completions(h) {
		words := line
		if words == "" || strings.HasSuffix(words, " ") {
			words += "''"
		}
		equal(t, "mydocker "+line, sorted(complete("unset COMP_LINE", words)), sorted(want))
	}
	// bash parts words at : and = and wants only what stands behind the last of them.
	for _, c := range [][3]string{
		{"run --network=", "run --network =", "bridge container: host none"}, {"run --network=h", "run --network = h", "host"},
		{"rmi busybox:", "rmi busybox :", "latest"}, {"rmi busybox:la", "rmi busybox : la", "latest"},
		{"run -e A= busy", "run -e A = busy", "busybox:latest"}, {"run -v /x:/", "run -v /x : /", ""},
	} {
		equal(t, c[0], sorted(complete("COMP_LINE='mydocker "+c[0]+"'", c[1])), c[2])
	}
}

func sorted(words string) string {
	return strings.Join(slices.Sorted(slices.Values(strings.Fields(words))), " ")
}

func TestCompletionFish(t *testing.T) {
	h := newHost(t)
	twoContainers(h)
	for line, want := range completions(h) {
		if strings.Contains(line, h.root) {
			want += "/" // fish says that it is a directory
		}
		cmd := h.shell("fish", "--no-config", "-c", `mydocker completion fish | source; complete -C "mydocker `+line+`"`)
		equal(t, "mydocker "+line, sorted(completed(t, cmd)), sorted(want))
	}
}

func TestCompletionZsh(t *testing.T) {
	h := newHost(t)
	twoContainers(h)
	z := h.onTerminalOf(h.shell("zsh", "-f", "-i"))
	z.types("PS1='%% '; autoload -U compinit && compinit -D -u && source <(mydocker completion zsh) && echo rea''dy\n")
	z.shows("ready")
	h.small("layer", 100)
	for _, c := range [][2]string{ // what is completed is run
		{"exe\tw\techo a$((1+1))", "a2"}, {"tag busy\tthird && echo b$((1+1))", "b2"}, {"run --rm --network=h\tthir\techo c$((1+1))", "c2"},
		{"import " + h.dir("archives") + "/lay\tfourth && echo d$((1+1))", "d2"}, {"rm mad\t && echo e$((1+1))", "e2"},
	} {
		z.types("mydocker " + c[0] + "\n")
		z.shows("\n" + c[1])
	}
	z.types("mydocker st\t")
	z.shows("Start one or more stopped containers") // with descriptions
	z.types("\x15exit\n")
}

// Nothing is to appear on the user's terminal: not an error, not for want of root.
func TestCompletionIsQuiet(t *testing.T) {
	h := newHost(t)
	twoContainers(h)
	for _, args := range [][]string{{""}, {"run", "--nosuch", ""}, {"run", "--memory", "x", ""}, {"exec", ""}, {"--root"}, {"--root", ""}, {"-", ""}, {"--", ""}, {"run", "-"}} {
		cmd := h.command(append([]string{"__complete"}, args...)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		var stderr strings.Builder
		cmd.Stderr = &stderr
		if out, err := cmd.Output(); err != nil || stderr.Len() > 0 || strings.Contains(string(out), "web") {
			t.Errorf("%q: %v\n%s%s", args, err, out, &stderr)
		}
	}
	h.fails(1, []string{"bash, zsh and fish"}, "completion", "tcsh")
}
