package security

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the system call tables anew")

// Constants in the headers which are no system calls.
var noise = []string{"syscall_mask", "oabi_syscall_base", "arch_specific_syscall"}

// The calls private to ARM are defined relative to a base, which the constants
// of x/sys leave out (arch/arm/include/uapi/asm/unistd.h).
var armPrivate = []string{"breakpoint", "cacheflush", "usr26", "usr32", "set_tls", "get_tls"}

// What stands behind socketcall(2) and ipc(2), numbered from first on
// (linux/net.h, linux/ipc.h).
var functions = []struct {
	call, first int
	names       string
}{
	{102, 1, `socket bind connect listen accept getsockname getpeername socketpair send recv sendto recvfrom
		shutdown setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg`},
	{117, 1, "semop semget semctl semtimedop"},
	{117, 11, "msgsnd msgrcv msgget msgctl"},
	{117, 21, "shmat shmdt shmget shmctl"},
}

type line struct {
	number, function int
	name             string
}

// constants are the system calls of one machine in golang.org/x/sys/unix, which
// has them from the kernel's own headers.
func constants(t *testing.T, machine string) (lines []line) {
	t.Helper()
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", "golang.org/x/sys/unix").Output()
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "zsysnum_linux_"+machine+".go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^\tSYS_(\w+)\s+= (\d+)$`).FindAllStringSubmatch(string(source), -1) {
		number, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		if name := strings.ToLower(m[1]); !slices.Contains(noise, name) {
			lines = append(lines, line{number: number, name: name})
		}
	}
	return lines
}

func wantedTable(t *testing.T, table string) string {
	t.Helper()
	var lines []line
	switch table {
	case "386":
		lines = constants(t, table)
		for _, f := range functions {
			for i, name := range strings.Fields(f.names) {
				lines = append(lines, line{f.call, f.first + i, name})
			}
		}
	case "arm":
		lines = constants(t, table)
		for i, name := range armPrivate {
			lines = append(lines, line{number: 0xf0001 + i, name: name})
		}
	default:
		lines = constants(t, table)
	}
	slices.SortFunc(lines, func(a, b line) int {
		if n := a.number - b.number; n != 0 {
			return n
		}
		return a.function - b.function
	})
	var text strings.Builder
	for i, l := range lines {
		fmt.Fprint(&text, l.name, " ", l.number)
		if l.function > 0 {
			fmt.Fprint(&text, " ", l.function)
		} else if i > 0 && lines[i-1].number == l.number {
			t.Errorf("%s: %s and %s are both %d", table, lines[i-1].name, l.name, l.number)
		}
		text.WriteByte('\n')
	}
	return text.String()
}

// TestTables compares the tables with what they are made of. With -update it
// makes them, as after a new version of golang.org/x/sys.
func TestTables(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("go finds the source of x/sys, and this machine does not have it (the test machine has binaries only)")
	}
	for table, least := range map[string]int{"amd64": 380, "386": 470, "arm64": 320, "arm": 420} {
		want := wantedTable(t, table)
		if n := strings.Count(want, "\n"); n < least {
			t.Errorf("%s has only %d calls", table, n)
		}
		if *update {
			if err := os.WriteFile("syscalls/"+table+".txt", []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := tables.ReadFile("syscalls/" + table + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(string(got), "\n")); diff != "" && !*update {
			t.Errorf("%s: x/sys -, table +\n%s", table, diff)
		}
	}
}
