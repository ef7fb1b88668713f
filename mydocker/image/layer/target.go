package layer

import (
	"archive/tar"
	"fmt"
	"io"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// Target is a directory, of a container or the host, that files are copied into.
// Names that begin with .wh. mean nothing there. Files of the same name are
// replaced, directories are filled, and neither takes the place of the other.
//
// Symbolic links are resolved as if root were the root directory, whoever
// exchanges them meanwhile (CVE-2018-15664, CVE-2019-14271).
type Target struct {
	tree  tree
	root  *os.File // kept open
	path  string
	shown string // the directory in errors
}

// NewTarget makes a target of the directory at path below root.
func NewTarget(root *os.File, path, shown string) *Target {
	return &Target{tree{root: int(root.Fd()), block: make([]byte, blockSize), plain: true}, root, path, shown}
}

// Put makes the entry that header describes. Owners -1 leave it to whoever
// copies. Content is best given as an *os.File.
func (t *Target) Put(header *tar.Header, content io.Reader) error {
	name, err := cleanName(header.Name)
	if err != nil || name == "." {
		return err // what is there keeps its attributes
	}
	header.Name = path.Join(t.path, name)
	if header.Typeflag == tar.TypeLink {
		header.Linkname = path.Join(t.path, path.Clean("/"+header.Linkname))
	}
	err = t.tree.place(header, content)
	shown := path.Join(t.shown, name)
	if kind, ok := err.(kindError); ok {
		return fmt.Errorf(string(kind), shown, path.Dir(shown))
	}
	if err != nil {
		return fmt.Errorf("copy to %s: %w", shown, err)
	}
	return nil
}

// Extract puts the entries of a tar archive, after change has seen them.
func (t *Target) Extract(r io.Reader, change func(*tar.Header) error) error {
	archive := tar.NewReader(r)
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return t.Finish()
		}
		if err != nil {
			return fmt.Errorf("read archive: %w", err)
		}
		if err := change(header); err != nil {
			return err
		}
		if err := t.Put(header, archive); err != nil {
			return err
		}
	}
}

// Finish gives directories their times, when all is in them.
func (t *Target) Finish() error { return t.tree.restoreTimes() }

// Copy copies what is in one directory into another, which becomes its like.
func Copy(from, to *os.File) error {
	target := NewTarget(to, ".", ".")
	err := Walk(from, "", nil, func(header *tar.Header, content *os.File) error { return target.Put(header, content) })
	if err == nil {
		err = target.Finish()
	}
	if err == nil {
		err = Imitate(from, to)
	}
	return err
}

// Imitate gives a directory the owner, mode, attributes and times of another. Both may
// be open with O_PATH.
func Imitate(from, to *os.File) error {
	fd, err := unix.Openat(int(from.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	header := newHeader(".", &st)
	attributes(header, fd, make([]byte, maxAttribute))
	return setAttributes(header, int(to.Fd()), ".")
}

// kindError is the format of an error in Docker's words, of two paths.
type kindError string

func (e kindError) Error() string { return string(e) }

// put makes an entry instead of what has its name.
func (t *tree) put(header *tar.Header, dir, base string, content io.Reader) error {
	parent, err := t.dir(dir)
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	var st unix.Statx_t
	err = unix.Statx(parent, base, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_TYPE, &st)
	isDir, toDir := st.Mode&unix.S_IFMT == unix.S_IFDIR, header.Typeflag == tar.TypeDir
	switch {
	case err == unix.ENOENT:
	case err != nil:
		return err
	case isDir && !toDir:
		return kindError("cannot overwrite directory %q with non-directory %q")
	case !isDir && toDir:
		return kindError("cannot overwrite non-directory %q with directory %q")
	case st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 && !isDir:
		// A tree of mounts that is not attached has no mount points that keep a
		// file: it would go, and take the mounts on it in every namespace along.
		return fmt.Errorf("unlinkat: %w", unix.EBUSY)
	case !isDir:
		if err := unix.Unlinkat(parent, base, 0); err != nil && err != unix.ENOENT {
			return fmt.Errorf("unlinkat: %w", err)
		}
	}
	if err := t.create(header, parent, base, content); err != nil || header.Typeflag == tar.TypeLink {
		return err
	}
	return setAttributes(header, parent, base)
}

// send fills a new file with what size bytes of another hold, or fewer if it has
// become shorter. Holes stay holes. The kernel copies, without a buffer of ours.
func send(to, from *os.File, size int64) error {
	in, out := int(from.Fd()), int(to.Fd())
	for at := int64(0); at < size; {
		start, err := unix.Seek(in, at, unix.SEEK_DATA)
		if err != nil || start >= size { // ENXIO: no more data
			return to.Truncate(size)
		}
		end, err := unix.Seek(in, start, unix.SEEK_HOLE)
		if err != nil || end > size {
			end = size
		}
		if at, err = unix.Seek(out, start, unix.SEEK_SET); err != nil {
			return err
		}
		for at < end {
			if n, err := unix.Sendfile(out, in, &at, int(end-at)); n <= 0 && err != unix.EINTR {
				return err
			}
		}
	}
	return nil
}
