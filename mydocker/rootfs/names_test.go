package rootfs

import "testing"

func TestOptionNames(t *testing.T) {
	for _, name := range OptionNames() {
		if o := parseOptions([]string{name}); len(o.data) > 0 {
			t.Errorf("%s is passed on to the file system", name)
		}
	}
}
