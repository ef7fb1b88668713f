package namespace

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestIDMap(t *testing.T) {
	for _, c := range []struct {
		maps []specs.LinuxIDMapping
		want string
	}{
		{nil, ""},
		{[]specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}, "0 100000 65536\n"},
		{[]specs.LinuxIDMapping{{ContainerID: 0, HostID: 4294901760, Size: 1}, {ContainerID: 1, HostID: 0, Size: 2}}, "0 4294901760 1\n1 0 2\n"},
	} {
		if got := idMap(c.maps); got != c.want {
			t.Errorf("%v: %q, want %q", c.maps, got, c.want)
		}
	}
}

func TestNewUser(t *testing.T) {
	uids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 500000, Size: 1000}, {ContainerID: 1000, HostID: 0, Size: 1}}
	gids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 600000, Size: 65536}}
	user, err := NewUser(uids, gids)
	if err != nil {
		t.Fatal(err)
	}
	defer user.Close()
	if kind, err := unix.IoctlRetInt(int(user.Fd()), unix.NS_GET_NSTYPE); err != nil || kind != unix.CLONE_NEWUSER {
		t.Errorf("namespace type %#x, %v", kind, err)
	}
	var children []string
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, task := range tasks {
		data, _ := os.ReadFile("/proc/self/task/" + task.Name() + "/children")
		children = append(children, strings.Fields(string(data))...)
	}
	if len(children) > 0 {
		t.Errorf("children are left: %v", children)
	}
	cmd := exec.Command("nsenter", fmt.Sprintf("--user=/proc/%d/fd/%d", os.Getpid(), user.Fd()), "sh", "-c", "cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups")
	out, err := cmd.CombinedOutput()
	if got := strings.Join(strings.Fields(string(out)), " "); err != nil || got != "0 500000 1000 1000 0 1 0 600000 65536 allow" {
		t.Errorf("inside: %q, %v", got, err)
	}
}

// TestHeldChild kills a process while the child it has forked waits for it.
func TestHeldChild(t *testing.T) {
	if os.Getenv("HOLD_A_CHILD") != "" { // it is that process
		Fork(func(pid int) error {
			fmt.Println("pid", pid)
			select {}
		}, []Call{NewCall("exit_group", unix.SYS_EXIT_GROUP, 0)})
	}
	parent := exec.Command("/proc/self/exe", "-test.run=^TestHeldChild$")
	parent.Env = append(os.Environ(), "HOLD_A_CHILD=1")
	output, err := parent.StdoutPipe()
	if err == nil {
		err = parent.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscanf(output, "pid %d\n", &pid); err != nil {
		t.Fatal(err)
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	parent.Process.Kill()
	parent.Wait()
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 20000); n != 1 {
		t.Errorf("the child outlives its parent: %v", err)
		unix.Kill(pid, unix.SIGKILL)
	}
}

func TestNewUserErrors(t *testing.T) {
	one := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 500000, Size: 1}}
	for _, c := range []struct {
		name       string
		uids, gids []specs.LinuxIDMapping
		want       error
	}{
		{"no gids", one, nil, nil},
		{"overlapping", one, append(one, one...), syscall.EINVAL},
		{"of size 0", []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1}}, one, syscall.EINVAL},
	} {
		user, err := NewUser(c.uids, c.gids)
		if err == nil || user != nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v, want %v", c.name, user, err, c.want)
		}
	}
}

func TestOutside(t *testing.T) {
	ids := IDs{{{ContainerID: 0, HostID: 1000, Size: 1}, {ContainerID: 1, HostID: 100000, Size: 65535}}, {{ContainerID: 5, HostID: 7, Size: 2}}}
	for _, c := range []struct{ uid, gid, wantUID, wantGID int }{
		{0, 5, 1000, 7}, {1, 6, 100000, 8}, {65535, 6, 165534, 8}, {65536, 6, -1, 0}, {0, 4, -1, 0}, {0, 7, -1, 0},
	} {
		uid, gid, err := ids.Outside(uint32(c.uid), uint32(c.gid))
		if (err != nil) != (c.wantUID < 0) || err == nil && (uid != c.wantUID || gid != c.wantGID) {
			t.Errorf("%d:%d is %d:%d outside, %v, want %d:%d", c.uid, c.gid, uid, gid, err, c.wantUID, c.wantGID)
		}
	}
	own, err := ReadIDs(os.Getpid())
	if uid, gid, err2 := own.Outside(0, 33); err != nil || err2 != nil || uid != 0 || gid != 33 {
		t.Errorf("own: %d:%d, %v, %v", uid, gid, err, err2)
	}
}
