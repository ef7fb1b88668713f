package layer

import (
	"archive/tar"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Diff writes what is in an upper directory of overlayfs as a layer (OCI
// image-spec, layer.md): deleted names and opaque directories by whiteouts, times
// in nanoseconds. Names for which leave tells true are left out, with all that is in them.
//
// The same directory gives the same bytes: names come in their order, and times
// are modification times only.
//
// A container may change the directory meanwhile: see Walk. A name that a layer
// cannot hold, because it would delete another, is an error.
func Diff(w io.Writer, upper *os.File, leave func(name string) bool) error {
	return pack(w, func(visit visitor) error {
		walk := walker{visit: visit, names: map[inode]string{}, leave: leave, buffer: make([]byte, maxAttribute)}
		return walk.entry(int(upper.Fd()), "", "")
	})
}

// marked deals with what overlayfs means by an entry beside what it is. done: there
// is no more to it.
func (w *walker) marked(header *tar.Header, st *unix.Stat_t) (done bool, err error) {
	dir, base := path.Split(header.Name)
	switch {
	case w.leave(header.Name):
		return true, nil
	case strings.HasPrefix(base, whiteoutPrefix):
		return true, fmt.Errorf("/%s cannot be in a layer: names that begin with %s delete others there", header.Name, whiteoutPrefix)
	case st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0: // several may be links to one
		header.Name, header.Typeflag, header.Mode = dir+whiteoutPrefix+base, tar.TypeReg, 0o600
		return true, w.visit(header, nil)
	}
	return false, nil
}

func (w *walker) visitDirectory(header *tar.Header, fd int) error {
	attributes(header, fd, w.buffer)
	if err := w.visit(header, nil); err != nil || w.leave == nil {
		return err
	}
	if n, _ := unix.Fgetxattr(fd, opaque, w.buffer); n != 1 || w.buffer[0] != 'y' {
		return nil
	}
	return w.visit(&tar.Header{Format: tar.FormatPAX, Typeflag: tar.TypeReg, Name: header.Name + whiteoutOpaque,
		Mode: header.Mode, Uid: header.Uid, Gid: header.Gid, ModTime: time.Unix(0, 0)}, nil)
}
