//go:build ignore

// This program writes the system call tables in syscalls/ from the constants of
// golang.org/x/sys/unix, which come from the kernel's own headers.
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Constants in the headers which are no system calls.
var noise = []string{"syscall_mask", "oabi_syscall_base", "arch_specific_syscall"}

// The calls private to ARM are defined relative to a base, which the constants
// of x/sys leave out (arch/arm/include/uapi/asm/unistd.h).
var additions = map[string][]string{
	"arm": {"breakpoint 983041", "cacheflush 983042", "usr26 983043",
		"usr32 983044", "set_tls 983045", "get_tls 983046"},
}

func main() {
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", "golang.org/x/sys/unix").Output()
	if err != nil {
		log.Fatal(err)
	}
	constant := regexp.MustCompile(`(?m)^\tSYS_(\w+)\s+= (\d+)$`)
	for _, arch := range []string{"amd64", "386", "arm64", "arm"} {
		source, err := os.ReadFile(filepath.Join(string(bytes.TrimSpace(dir)), "zsysnum_linux_"+arch+".go"))
		if err != nil {
			log.Fatal(err)
		}
		lines := additions[arch]
		for _, m := range constant.FindAllStringSubmatch(string(source), -1) {
			if name := strings.ToLower(m[1]); !slices.Contains(noise, name) {
				lines = append(lines, name+" "+m[2])
			}
		}
		slices.SortFunc(lines, func(a, b string) int {
			if n := number(a) - number(b); n != 0 {
				return n
			}
			return strings.Compare(a, b)
		})
		out := filepath.Join("syscalls", arch+".txt")
		if err := os.WriteFile(out, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			log.Fatal(err)
		}
		fmt.Println(out, len(lines))
	}
}

func number(line string) int {
	_, digits, _ := strings.Cut(line, " ")
	n, err := strconv.Atoi(digits)
	if err != nil {
		log.Fatal(err)
	}
	return n
}
