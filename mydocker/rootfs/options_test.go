package rootfs

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestParseOptions(t *testing.T) {
	for _, c := range []struct {
		list []string
		want options
	}{
		{nil, options{}},
		{[]string{"rbind", "ro", "rprivate"}, options{bind: true, recursive: true, set: unix.MOUNT_ATTR_RDONLY, propagation: []propagation{{unix.MS_PRIVATE, true}}}},
		{[]string{"bind", "slave"}, options{bind: true, propagation: []propagation{{unix.MS_SLAVE, false}}}},
		{[]string{"rslave", "shared"}, options{propagation: []propagation{{unix.MS_SLAVE, true}, {unix.MS_SHARED, false}}}},
		{[]string{"remount", "sync", "lazytime"}, options{remount: true, data: []string{"sync", "lazytime"}}},
		{[]string{"tmpcopyup", "silent", "nosymfollow"}, options{copyUp: true, set: unix.MOUNT_ATTR_NOSYMFOLLOW}},
		{[]string{"rnoatime", "rdev"}, options{setAll: unix.MOUNT_ATTR_NOATIME, clearAll: unix.MOUNT_ATTR__ATIME | unix.MOUNT_ATTR_NODEV}},
		{[]string{"ro", "rw"}, options{clear: unix.MOUNT_ATTR_RDONLY}},
		{[]string{"rw", "ro"}, options{set: unix.MOUNT_ATTR_RDONLY}},
		{[]string{"rro", "rnosuid"}, options{setAll: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID}},
		{[]string{"nosuid", "noexec", "nodev", "mode=755", "size=65536k"}, options{
			set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC | unix.MOUNT_ATTR_NODEV, data: []string{"mode=755", "size=65536k"}}},
		{[]string{"noatime", "strictatime"}, options{set: unix.MOUNT_ATTR_STRICTATIME, clear: unix.MOUNT_ATTR__ATIME}},
		{[]string{"strictatime", "relatime"}, options{clear: unix.MOUNT_ATTR__ATIME}},
		{[]string{"defaults", "async"}, options{}},
		{[]string{"newinstance"}, options{data: []string{"newinstance"}}},
	} {
		if diff := cmp.Diff(c.want, parseOptions(c.list), cmp.AllowUnexported(options{}, propagation{})); diff != "" {
			t.Errorf("%v: (-want +got)\n%s", c.list, diff)
		}
	}
}
