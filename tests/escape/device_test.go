package escape

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// Devices of the host.
var deviceWays = []way{
	{
		name: "node of a disk", build: "self",
		cuts: []cut{{"spec/resources.go", `{Allow: false, Access: "rwm"},`, `{Allow: true, Access: "rwm"},`}},
		try: func(s *scene) string {
			major, minor := s.disk()
			return s.attack(nil, "node", fmt.Sprint(major), fmt.Sprint(minor))
		},
	}, {
		name: "node on a volume", build: "self",
		try: func(s *scene) string {
			major, minor := s.disk()
			if err := unix.Mknod(s.mkdir("volume")+"/node", unix.S_IFBLK|0o666, int(unix.Mkdev(major, minor))); err != nil {
				s.Fatal(err)
			}
			return s.attack([]string{"-v", s.dir + "/volume:/volume"}, "open", "/volume/node")
		},
	},
}

// disk makes a disk of the host's, on a file of the scene.
func (s *scene) disk() (major, minor uint32) {
	s.Helper()
	out, err := exec.Command("losetup", "--find", "--show", s.write("disk", strings.Repeat("of the host ", 1<<16))).Output()
	if err != nil {
		s.Fatalf("losetup: %v", err)
	}
	device := strings.TrimSpace(string(out))
	s.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", device).CombinedOutput(); err != nil {
			s.Errorf("losetup: %v: %s", err, out)
		}
	})
	var st unix.Stat_t
	if err := unix.Stat(device, &st); err != nil {
		s.Fatal(err)
	}
	return unix.Major(st.Rdev), unix.Minor(st.Rdev)
}

func init() {
	attacks["node"] = func(args []string) string {
		var major, minor uint32
		fmt.Sscan(args[0], &major)
		fmt.Sscan(args[1], &minor)
		how := ""
		for _, node := range []struct {
			path string
			kind uint32
			dev  uint64
		}{{"/disk", unix.S_IFBLK, unix.Mkdev(major, minor)}, {"/memory", unix.S_IFCHR, unix.Mkdev(1, 1)}, {"/log", unix.S_IFCHR, unix.Mkdev(1, 11)}} {
			fmt.Println("mknod:", unix.Mknod(node.path, node.kind|0o600, int(node.dev)))
			how += openDevice([]string{node.path})
		}
		return how
	}
	attacks["open"] = openDevice
}

// openDevice reads from a device.
func openDevice(args []string) string {
	file, err := os.Open(args[0])
	if err != nil {
		return held("%v", err)
	}
	defer file.Close()
	text := make([]byte, 11)
	file.Read(text)
	return fmt.Sprintf("%s is open, and has %q; ", args[0], text)
}
