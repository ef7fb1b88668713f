package escape

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What a container takes of the host until others have none.
var limitWays = []way{
	{
		name: "exhaustion of pids", build: "self",
		cuts: []cut{{"runtime/create.go", "if err := group.LimitPids(spec.Linux.Resources); err != nil {", "if err := error(nil); err != nil {"}},
		try: func(s *scene) string {
			r := s.run(append(append([]string{"run", "--rm", "--pids-limit", "30"}, s.flags...), "busybox", "sh", "-c",
				"(for i in $(seq 100); do sleep 60 & done) 2>/dev/null; set -- /proc/[0-9]*; echo $#")...)
			n, err := strconv.Atoi(strings.TrimSpace(r.out))
			if err == nil && n > 60 {
				return fmt.Sprintf("%d processes where 30 are allowed", n)
			}
			return ""
		},
	}, {
		name: "exhaustion of memory by shm", build: "self",
		cuts: []cut{{"spec/mounts.go", `fmt.Sprintf("size=%d", host.ShmSize)`, `"size=0"`}},
		try: func(s *scene) string {
			if how := s.attack([]string{"--shm-size", "1m"}, "fill", "/dev/shm", strconv.Itoa(4<<20)); how != "" {
				return how
			}
			return s.attack(nil, "fill", "/dev/shm", strconv.Itoa(65<<20))
		},
	}, {
		name: "exhaustion of the disk by the log", build: "self",
		cuts: []cut{{"logfile/writer.go", "return w.options.MaxSize > 0 && w.size+int64(n) >= w.options.MaxSize", "return false"}},
		try: func(s *scene) string {
			id := s.ok(s.line("run", "busybox", []string{"-d"}, "flood", strconv.Itoa(40<<20))...)
			defer func() { s.ok("rm", "-f", id) }()
			s.ok("wait", id)
			size := int64(0)
			filepath.WalkDir(s.host.dir+"/root/containers/"+id, func(path string, entry fs.DirEntry, err error) error {
				if err == nil && strings.Contains(entry.Name(), ".log") {
					if info, err := entry.Info(); err == nil {
						size += info.Size()
					}
				}
				return nil
			})
			if size == 0 {
				s.Error("there is no log")
			}
			if size > 33<<20 {
				return fmt.Sprintf("a log of %d bytes", size)
			}
			return ""
		},
	},
}

func init() {
	attacks["fill"] = fill
	attacks["flood"] = func(args []string) string {
		line := strings.Repeat("x", 1<<14-1) + "\n"
		size, _ := strconv.Atoi(args[0])
		for range size / len(line) {
			os.Stdout.WriteString(line)
		}
		return ""
	}
}

// fill writes a file of so many bytes to a file system in memory.
func fill(args []string) string {
	size, _ := strconv.ParseInt(args[1], 10, 64)
	file, err := os.Create(args[0] + "/filled")
	if err != nil {
		return err.Error()
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if err := unix.Fallocate(int(file.Fd()), 0, 0, size); err != nil {
		return held("%v", err)
	}
	return fmt.Sprintf("%s takes %d bytes", args[0], size)
}
