package layer

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Pack writes a tar archive of source, see Walk, as Docker does: times in whole
// seconds, no names of users, extended headers (PAX) only where they are needed. Each
// header change may change before.
func Pack(w io.Writer, source *os.File, name string, change func(*tar.Header)) error {
	return pack(w, func(visit visitor) error {
		return Walk(source, name, nil, func(header *tar.Header, content *os.File) error {
			change(header)
			header.ModTime = header.ModTime.Truncate(time.Second)
			return visit(header, content)
		})
	})
}

// pack writes an archive of what walk visits.
func pack(w io.Writer, walk func(visitor) error) error {
	buffered := bufio.NewWriterSize(w, chunkSize)
	archive := tar.NewWriter(buffered)
	block := make([]byte, chunkSize)
	err := walk(func(header *tar.Header, content *os.File) error {
		if err := archive.WriteHeader(header); err != nil || content == nil || header.Size == 0 {
			return err
		}
		// As long as it was: it may have grown or shrunk meanwhile. The struct
		// hides that a file can copy itself, in small pieces.
		whole := io.LimitReader(io.MultiReader(content, zeros{}), header.Size)
		_, err := io.CopyBuffer(archive, struct{ io.Reader }{whole}, block)
		return err
	})
	if err != nil {
		return err
	}
	return errors.Join(archive.Close(), buffered.Flush())
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Walk calls visit for source, a descriptor opened with O_PATH at least, and all
// that is in it, as for the entries of a tar archive in which source has the given
// name; if that is "", source itself is left out. Directories come before what is
// in them, names in their order. The second name of a file is a hard link to the
// first. content is a regular file, open for reading, or nil. Extended attributes are
// those of files and directories, without overlayfs's own, labels of the host's security
// modules, and such as the format has no form for ("=" in the name). Sockets are left
// out, as in Docker; to meet the directory avoid is an error.
//
// Nothing is reached by a path: each step goes from an open directory to one name
// in it that is not followed, and what was opened is looked at again. So files
// may be exchanged for symbolic links meanwhile without leading out of source.
func Walk(source *os.File, name string, avoid *os.File, visit visitor) error {
	w := walker{visit: visit, names: map[inode]string{}, buffer: make([]byte, maxAttribute)}
	if avoid != nil {
		var st unix.Stat_t
		if err := unix.Fstat(int(avoid.Fd()), &st); err != nil {
			return err
		}
		w.avoid = inode{st.Dev, st.Ino}
	}
	return w.entry(int(source.Fd()), "", name)
}

type inode struct{ dev, ino uint64 }

type visitor func(header *tar.Header, content *os.File) error

type walker struct {
	visit visitor
	names map[inode]string // first name of each file that has several
	avoid inode

	buffer []byte                 // for attributes
	leave  func(name string) bool // see Diff; nil: what is walked is no upper directory
}

// entry visits base in the directory from, or from itself if base is "".
func (w *walker) entry(from int, base, name string) error {
	for tries := 0; ; tries++ {
		var st unix.Stat_t
		err := unix.Fstatat(from, base, &st, unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH)
		if err == nil {
			err = w.typed(from, base, name, &st)
		}
		switch errno, ok := err.(unix.Errno); {
		case errno == unix.ENOENT: // gone meanwhile is no error
			return nil
		case tries < 100 && slices.Contains([]unix.Errno{unix.ESTALE, unix.ELOOP, unix.ENOTDIR, unix.EINVAL, unix.ENXIO}, errno):
			continue // it was of another type when it was looked at
		case ok:
			return &os.PathError{Op: "read", Path: name, Err: err}
		}
		return err
	}
}

func newHeader(name string, st *unix.Stat_t) *tar.Header {
	return &tar.Header{
		Format: tar.FormatPAX, Name: name, Mode: int64(st.Mode & 0o7777), Uid: int(st.Uid), Gid: int(st.Gid),
		ModTime: time.Unix(st.Mtim.Unix()), Devmajor: int64(unix.Major(st.Rdev)), Devminor: int64(unix.Minor(st.Rdev)),
	}
}

// typed returns a bare errno if it cannot read the file.
func (w *walker) typed(from int, base, name string, st *unix.Stat_t) error {
	header := newHeader(name, st)
	if w.leave != nil {
		if done, err := w.marked(header, st); done {
			return err
		}
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		if w.avoid == (inode{st.Dev, st.Ino}) {
			return fmt.Errorf("cannot copy a directory into itself, %s", header.Name)
		}
		return w.directory(from, base, header)
	case unix.S_IFREG:
		return w.regular(from, base, name, st)
	case unix.S_IFLNK:
		target := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(from, base, target)
		if err != nil {
			return err
		}
		header.Typeflag, header.Linkname = tar.TypeSymlink, string(target[:n])
	case unix.S_IFCHR:
		header.Typeflag = tar.TypeChar
	case unix.S_IFBLK:
		header.Typeflag = tar.TypeBlock
	case unix.S_IFIFO:
		header.Typeflag = tar.TypeFifo
	default:
		return nil
	}
	return w.once(header, st, nil)
}

// once visits a file that is no directory, or for its second name a hard link.
func (w *walker) once(header *tar.Header, st *unix.Stat_t, content *os.File) error {
	id := inode{st.Dev, st.Ino}
	if first, met := w.names[id]; met {
		header.Typeflag, header.Linkname, header.Size, header.PAXRecords = tar.TypeLink, first, 0, nil
		content = nil
	} else if st.Nlink > 1 {
		w.names[id] = header.Name
	}
	return w.visit(header, content)
}

func (w *walker) directory(from int, base string, header *tar.Header) error {
	if base == "" {
		base = "."
	}
	fd, err := unix.Openat(from, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	dir := os.NewFile(uintptr(fd), header.Name)
	defer dir.Close()
	header.Typeflag = tar.TypeDir
	prefix := header.Name
	if prefix != "" {
		prefix = strings.TrimSuffix(prefix, "/") + "/"
		header.Name = prefix
		if err := w.visitDirectory(header, fd); err != nil {
			return err
		}
	}
	entries, err := dir.Readdirnames(-1)
	if err != nil && !errors.Is(err, unix.ENOENT) { // removed since it was opened
		return err
	}
	slices.Sort(entries)
	for _, entry := range entries {
		if err := w.entry(fd, entry, prefix+entry); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) regular(from int, base, name string, st *unix.Stat_t) error {
	if _, met := w.names[inode{st.Dev, st.Ino}]; met {
		return w.once(newHeader(name, st), st, nil)
	}
	flags := unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC // NONBLOCK: for what has become a fifo
	if base == "" {
		base = "/proc/self/fd/" + strconv.Itoa(from)
		flags &^= unix.O_NOFOLLOW // it leads to the file itself
	}
	fd, err := unix.Openat(from, base, flags, 0)
	if err != nil {
		return err
	}
	content := os.NewFile(uintptr(fd), name)
	defer content.Close()
	// Of what was opened: else one file's set-user-ID could come to another's content.
	if err := unix.Fstat(fd, st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return unix.ESTALE // it was one before
	}
	header := newHeader(name, st)
	header.Typeflag, header.Size = tar.TypeReg, st.Size
	attributes(header, fd, w.buffer)
	return w.once(header, st, content)
}
