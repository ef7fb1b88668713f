package layer

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	whiteoutPrefix = ".wh."
	whiteoutMeta   = ".wh..wh." // aufs' own bookkeeping, of which only the opaque mark has a meaning here
	whiteoutOpaque = ".wh..wh..opq"
	xattrPrefix    = "SCHILY.xattr."
	holeSize       = 64 << 10 // shorter runs of zeros are written
)

// place makes the entry that header describes.
func (t *tree) place(header *tar.Header, content io.Reader) error {
	if t.stale || len(t.dirs) > cachedDirs {
		t.forget()
	}
	if header.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name, err := cleanName(header.Name)
	if err != nil {
		return err
	}
	if name == "." && header.Typeflag != tar.TypeDir {
		return fmt.Errorf("the root directory cannot be of type %q", header.Typeflag)
	}
	base := path.Base(name)
	if base != whiteoutOpaque && (strings.HasPrefix(base, whiteoutMeta) || strings.HasPrefix(name, whiteoutMeta)) {
		return nil
	}
	parent, err := t.dir(path.Dir(name))
	if err != nil {
		return err
	}
	if base == whiteoutOpaque {
		return setOpaque(procPath(parent, "."))
	}
	if hidden, ok := strings.CutPrefix(base, whiteoutPrefix); ok {
		return t.whiteout(parent, hidden)
	}
	return t.create(header, parent, name, base, content)
}

// cleanName makes a name relative to the tree's root. A name that leads out of
// it is an error, as in Docker.
func cleanName(name string) (string, error) {
	clean := path.Clean(strings.TrimLeft(name, "/"))
	if clean == ".." || strings.HasPrefix(clean, "../") {
		return "", fmt.Errorf("%s is outside of the layer", name)
	}
	return clean, nil
}

func (t *tree) create(header *tar.Header, parent int, name, base string, content io.Reader) error {
	switch header.Typeflag {
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		return t.regular(header, parent, base, content)
	case tar.TypeLink:
		return t.link(header, parent, name, base)
	case tar.TypeDir:
		if err := t.replacing(parent, base, func() error { return t.mkdir(parent, base) }); err != nil {
			return err
		}
		t.times = append(t.times, dirTimes{name, timesOf(header)})
		return setOwnerAndMode(header, parent, base)
	case tar.TypeSymlink:
		t.size += int64(len(header.Linkname))
		err := t.replacing(parent, base, func() error { return unix.Symlinkat(header.Linkname, parent, base) })
		if err != nil {
			return err
		}
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		kind := map[byte]uint32{tar.TypeChar: unix.S_IFCHR, tar.TypeBlock: unix.S_IFBLK, tar.TypeFifo: unix.S_IFIFO}[header.Typeflag]
		device := unix.Mkdev(uint32(header.Devmajor), uint32(header.Devminor))
		if header.Typeflag == tar.TypeFifo {
			device = 0
		}
		err := t.replacing(parent, base, func() error { return unix.Mknodat(parent, base, kind|0o600, int(device)) })
		if err != nil {
			return err
		}
	default:
		return fmt.Errorf("unknown type %q of entry", header.Typeflag)
	}
	if err := setOwnerAndMode(header, parent, base); err != nil {
		return err
	}
	times := timesOf(header)
	return unix.UtimesNanoAt(parent, base, times[:], unix.AT_SYMLINK_NOFOLLOW)
}

// regular makes a file. The owner comes before the mode and the attributes:
// chown(2) clears set-user-ID bits and capabilities. The times come last.
func (t *tree) regular(header *tar.Header, parent int, base string, content io.Reader) error {
	fd := -1
	err := t.replacing(parent, base, func() (err error) {
		flags := unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
		fd, err = unix.Openat(parent, base, flags, 0o600)
		return err
	})
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := t.write(fd, content, header.Size); err != nil {
		return err
	}
	t.size += header.Size
	if err := unix.Fchown(fd, header.Uid, header.Gid); err != nil {
		return fmt.Errorf("chown: %w", err)
	}
	if err := unix.Fchmod(fd, uint32(header.Mode&0o7777)); err != nil {
		return fmt.Errorf("chmod: %w", err)
	}
	for attr, value := range xattrs(header) {
		if err := ignoreUnsupported(attr, unix.Fsetxattr(fd, attr, []byte(value), 0)); err != nil {
			return err
		}
	}
	times := timesOf(header)
	return unix.UtimesNanoAt(fd, "", times[:], unix.AT_EMPTY_PATH)
}

// write copies size bytes, leaving holes for long runs of zeros.
func (t *tree) write(fd int, content io.Reader, size int64) error {
	written := int64(0) // what lies between this and offset is a hole
	for offset := int64(0); offset < size; {
		n, err := io.ReadFull(content, t.buffer[:min(size-offset, chunkSize)])
		if err != nil {
			return fmt.Errorf("read layer: %w", err)
		}
		for data := t.buffer[:n]; len(data) > 0; {
			run := dataRun(data)
			if err := pwrite(fd, data[:run], offset); err != nil {
				return fmt.Errorf("write: %w", err)
			}
			if run > 0 {
				written = offset + int64(run)
			}
			hole := zeroRun(data[run:])
			data = data[run+hole:]
			offset += int64(run + hole)
		}
	}
	if written < size {
		return unix.Ftruncate(fd, size)
	}
	return nil
}

// dataRun is the length of data up to the first hole.
func dataRun(data []byte) int {
	for n := 0; n+holeSize <= len(data); n += holeSize {
		if isZero(data[n : n+holeSize]) {
			return n
		}
	}
	return len(data)
}

// zeroRun is the length of the hole at the beginning of data.
func zeroRun(data []byte) int {
	n := 0
	for n+holeSize <= len(data) && isZero(data[n:n+holeSize]) {
		n += holeSize
	}
	return n
}

func isZero(data []byte) bool {
	return data[0] == 0 && bytes.Equal(data[:len(data)-1], data[1:])
}

func pwrite(fd int, data []byte, offset int64) error {
	for len(data) > 0 {
		n, err := unix.Pwrite(fd, data, offset)
		if err != nil && err != unix.EINTR {
			return err
		}
		data, offset = data[max(n, 0):], offset+int64(max(n, 0))
	}
	return nil
}

// link makes a hard link. The target is named from the archive's root, and its
// owner, mode and times came with its own entry.
func (t *tree) link(header *tar.Header, parent int, name, base string) error {
	target, err := cleanName(header.Linkname)
	if err != nil {
		return err
	}
	if target == name { // what GNU tar writes for a file named twice
		return nil
	}
	from, err := t.dir(path.Dir(target))
	if err != nil {
		return err
	}
	err = t.replacing(parent, base, func() error {
		return unix.Linkat(from, path.Base(target), parent, base, 0) // 0: a symbolic link is not followed
	})
	if err != nil {
		return fmt.Errorf("hard link to %q: %w", header.Linkname, err)
	}
	return nil
}

func setOwnerAndMode(header *tar.Header, parent int, base string) error {
	if err := unix.Fchownat(parent, base, header.Uid, header.Gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("chown: %w", err)
	}
	if header.Typeflag != tar.TypeSymlink {
		if err := unix.Fchmodat(parent, base, uint32(header.Mode&0o7777), 0); err != nil {
			return fmt.Errorf("chmod: %w", err)
		}
	}
	for attr, value := range xattrs(header) {
		if err := ignoreUnsupported(attr, unix.Lsetxattr(procPath(parent, base), attr, []byte(value), 0)); err != nil {
			return err
		}
	}
	return nil
}

// xattrs yields the entry's extended attributes, but for those by which
// overlayfs would take orders from the archive (redirects to other directories,
// metadata-only files).
func xattrs(header *tar.Header) map[string]string {
	var found map[string]string
	for key, value := range header.PAXRecords {
		attr, ok := strings.CutPrefix(key, xattrPrefix)
		if !ok || strings.HasPrefix(attr, "trusted.overlay.") || strings.HasPrefix(attr, "user.overlay.") {
			continue
		}
		if found == nil {
			found = map[string]string{}
		}
		found[attr] = value
	}
	return found
}

// ignoreUnsupported forgives attributes that the file system does not have, and
// user attributes on what cannot carry any (xattr(7): only files and directories can).
func ignoreUnsupported(attr string, err error) error {
	if err == nil || err == unix.ENOTSUP || err == unix.EPERM && strings.HasPrefix(attr, "user.") {
		return nil
	}
	return fmt.Errorf("setxattr %s: %w", attr, err)
}

// dirTimes waits until all is unpacked: each file made in a directory changes
// its modification time.
type dirTimes struct {
	name  string
	times [2]unix.Timespec
}

func (t *tree) restoreTimes() error {
	for _, dir := range t.times {
		fd, err := t.open(dir.name, unix.O_NOFOLLOW)
		if err == unix.ENOENT || err == unix.ENOTDIR || err == unix.ELOOP {
			continue // a later entry replaced it
		}
		if err != nil {
			return fmt.Errorf("open %s: %w", dir.name, err)
		}
		err = unix.UtimesNanoAt(fd, "", dir.times[:], unix.AT_EMPTY_PATH)
		unix.Close(fd)
		if err != nil {
			return fmt.Errorf("set times of %s: %w", dir.name, err)
		}
	}
	return nil
}

// timesOf is access and modification time, in the order of utimensat(2).
func timesOf(header *tar.Header) [2]unix.Timespec {
	accessed := header.AccessTime
	if accessed.Before(header.ModTime) { // also: none
		accessed = header.ModTime
	}
	return [2]unix.Timespec{timespec(accessed), timespec(header.ModTime)}
}

func timespec(t time.Time) unix.Timespec {
	return unix.Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())}
}
