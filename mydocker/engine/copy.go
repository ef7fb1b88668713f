package engine

import (
	"archive/tar"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"minidocker/mydocker/image/layer"
	"minidocker/mydocker/rootfs"
	"minidocker/mydocker/spec"

	"golang.org/x/sys/unix"
)

// CopyOptions are the options of copies to and from a container.
type CopyOptions struct {
	FollowLink bool  // a source that is a symbolic link stands for its target
	Archive    bool  // what comes into a container belongs to its user, if it has one
	Size       int64 // grows by what is copied, in bytes of a tar archive
}

// CopyError is about the two paths of a copy: what Docker's client says, not its daemon.
type CopyError struct{ error }

func copyError(format string, args ...any) error { return CopyError{fmt.Errorf(format, args...)} }

// place is one end of a copy. A path may end in "/" or "/.", which asserts that
// it is a directory; the latter means what is in it.
type place struct {
	root      *os.File
	path      string // absolute, below root
	container string // as the user calls it; "": the host
}

// hostPlace makes a path of the host absolute; what it ends in stays.
func hostPlace(given string) (place, error) {
	absolute, err := filepath.Abs(given)
	if err != nil {
		return place{}, err
	}
	root, err := os.OpenFile("/", unix.O_PATH, 0)
	return place{root, keepEnd(absolute, given), ""}, err
}

func (f *files) place(ref, given string) place {
	return place{f.File, keepEnd(path.Join("/", given), given), ref}
}

func keepEnd(clean, given string) string {
	switch {
	case path.Base("x/"+given) == "." || strings.HasSuffix(given, "/."):
		return strings.TrimSuffix(clean, "/") + "/."
	case strings.HasSuffix(given, "/") && clean != "/":
		return clean + "/"
	}
	return clean
}

// fail words the error of an open.
func (p place) fail(err error, path string) error {
	switch err = errors.Unwrap(err); {
	case p.container != "" && errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("Could not find the file %s in container %s", path, p.container)
	case p.container != "":
		return &os.PathError{Op: "lstat", Path: path, Err: err}
	case errors.Is(err, unix.ENOTDIR):
		return copyError("not a directory")
	}
	return copyError("lstat %s: %w", path, err)
}

// source opens what is to be copied, and says by what name it arrives: the one
// it was asked for by, "." for what is in a directory.
func (p place) source(follow bool) (source *os.File, name string, isDir bool, err error) {
	if source, err = rootfs.Lookup(p.root, p.path, follow); err != nil {
		return nil, "", false, p.fail(err, p.path)
	}
	if name = path.Base(p.path); name == "/" {
		name = "."
	}
	kind, err := kindOf(source)
	return source, name, kind == unix.S_IFDIR, err
}

func kindOf(file *os.File) (kind uint32, err error) {
	var st unix.Stat_t
	err = unix.Fstat(int(file.Fd()), &st)
	return st.Mode & unix.S_IFMT, err
}

// resolve follows the links at the end of a path, of which the last may lead to
// nowhere: there the copy is made. kind is 0 if nothing is there.
func (p place) resolve() (resolved string, kind uint32, err error) {
	resolved = p.path
	for range 40 {
		file, err := rootfs.Lookup(p.root, resolved, false)
		if errors.Is(err, os.ErrNotExist) || p.container != "" && errors.Is(err, unix.ENOTDIR) {
			return resolved, 0, nil
		}
		if err != nil {
			return "", 0, copyError("stat %s: %w", resolved, errors.Unwrap(err))
		}
		defer file.Close()
		if kind, err = kindOf(file); err != nil || kind != unix.S_IFLNK {
			return resolved, kind, err
		}
		link := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(int(file.Fd()), "", link)
		if err != nil {
			return "", 0, copyError("readlink %s: %w", resolved, err)
		}
		parent := path.Dir(resolved) + "/"
		if link[0] == '/' {
			parent = ""
		}
		resolved = parent + string(link[:n]) // not cleaned: the kernel knows where ".." leads
	}
	return "", 0, copyError("too many symlinks in %s", p.path)
}

// target finds the directory that is copied to, opened and its path, and the name
// of the copy in it; "." is the directory itself.
func (p place) target(name string, isDir bool) (dir *os.File, at, as string, err error) {
	resolved, kind, err := p.resolve()
	if err != nil {
		return nil, "", "", err
	}
	at, as = resolved, name
	switch {
	case kind == unix.S_IFDIR:
	case kind == unix.S_IFCHR || kind == unix.S_IFBLK:
		what := fmt.Sprintf("invalid output path: %q", p.path)
		if p.container != "" {
			what = fmt.Sprintf(`destination "%s:%s"`, p.container, p.path)
		}
		return nil, "", "", copyError("%s must be a directory or a regular file: got a device", what)
	case kind != 0 && isDir:
		return nil, "", "", copyError("cannot copy directory")
	case !isDir && (strings.HasSuffix(p.path, "/") || strings.HasSuffix(p.path, "/.")):
		return nil, "", "", copyError("no such directory")
	default:
		at, as = path.Split(strings.TrimSuffix(strings.TrimSuffix(resolved, "/."), "/"))
	}
	dir, err = rootfs.Lookup(p.root, strings.TrimSuffix(at, "/")+"/.", true)
	switch at = path.Clean(at); {
	case err == nil:
		return dir, at, as, nil
	case p.container != "" && errors.Is(err, unix.ENOTDIR):
		err = errors.New("extraction point is not a directory")
	case p.container == "" && errors.Is(err, os.ErrNotExist):
		err = copyError("invalid output path: directory %q does not exist", at)
	default:
		err = p.fail(err, at)
	}
	return nil, "", "", err
}

// CopyTo copies a file or directory of the host into a container.
func (e *Engine) CopyTo(ref, source, target string, o *CopyOptions) error {
	return e.withFiles(ref, o, func(f *files) error {
		from, err := hostPlace(source)
		if err != nil {
			return err
		}
		defer from.root.Close()
		return asRoot(f.ids, func() error { return copyFiles(from, f.place(ref, target), o, f.checkWritable, f.own) })
	})
}

// CopyFrom copies a file or directory of a container to the host, where it
// belongs to whoever copies.
func (e *Engine) CopyFrom(ref, source, target string, o *CopyOptions) error {
	return e.withFiles(ref, o, func(f *files) error {
		to, err := hostPlace(target)
		if err != nil {
			return err
		}
		defer to.root.Close()
		anywhere := func(*os.File) error { return nil }
		return copyFiles(f.place(ref, source), to, o, anywhere, func(h *tar.Header) error {
			h.Uid, h.Gid = -1, -1
			return nil
		})
	})
}

// copyFiles copies from one place to another. check looks at the directory that
// is copied to, own gives each file its owner.
func copyFiles(from, to place, o *CopyOptions, check func(*os.File) error, own func(*tar.Header) error) error {
	source, name, isDir, err := from.source(o.FollowLink)
	if err != nil {
		return err
	}
	defer source.Close()
	dir, at, as, err := to.target(name, isDir)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := check(dir); err != nil {
		return err
	}
	target := layer.NewTarget(dir, ".", at)
	err = layer.Walk(source, as, dir, func(header *tar.Header, content *os.File) error {
		if err := own(header); err != nil {
			return err
		}
		o.Size += 512 + (header.Size+511)&^511
		return target.Put(header, content)
	})
	o.Size += 1024 // which end an archive
	return cmp.Or(err, target.Finish())
}

// Archive writes a tar archive of a file or directory of a container.
func (e *Engine) Archive(ref, source string, o *CopyOptions, w io.Writer) error {
	return e.withFiles(ref, o, func(f *files) (err error) {
		from := f.place(ref, source)
		if o.FollowLink { // the target comes by its own name
			if from.path, _, err = from.resolve(); err != nil {
				return err
			}
		}
		file, name, _, err := from.source(false)
		if err != nil {
			return err
		}
		defer file.Close()
		if from.path == "/" {
			name = "/" // so begin the names in Docker's
		}
		return layer.Pack(w, file, name, f.leaves)
	})
}

// Extract unpacks a tar archive, which may be compressed, into a directory of a container.
func (e *Engine) Extract(ref, target string, o *CopyOptions, r io.Reader) error {
	return e.withFiles(ref, o, func(f *files) error {
		to := f.place(ref, target)
		if _, kind, err := to.resolve(); err != nil || kind != unix.S_IFDIR {
			return cmp.Or(err, copyError(`destination "%s:%s" must be a directory`, ref, target))
		}
		dir, at, _, err := to.target("", true)
		if err != nil {
			return err
		}
		defer dir.Close()
		plain, err := layer.Decompress(r)
		if err = cmp.Or(f.checkWritable(dir), err); err != nil {
			return err
		}
		return asRoot(f.ids, func() error { return layer.NewTarget(f.File, at, at).Extract(plain, f.own) })
	})
}

// Export writes a tar archive of a container's root file system, without what is
// mounted in it.
func (e *Engine) Export(ref string, w io.Writer) error {
	f, err := e.openFiles(ref, false)
	if err != nil {
		return err
	}
	defer f.Close()
	return layer.Pack(w, f.File, "", f.leaves)
}

// withFiles gives act a container's root file system. What comes in belongs to
// whom it did on the host, or with -a to the container's user, if it has one.
func (e *Engine) withFiles(ref string, o *CopyOptions, act func(*files) error) error {
	f, err := e.openFiles(ref, true)
	if err != nil {
		return err
	}
	defer f.Close()
	f.own = func(h *tar.Header) error { return enter(f.ids, h) }
	if name := f.record.Config.User; o.Archive && name != "" {
		passwd, passwdErr := rootfs.OpenIn(f.File, "etc/passwd")
		defer passwd.Close()
		group, groupErr := rootfs.OpenIn(f.File, "etc/group")
		defer group.Close()
		user, _, err := spec.ResolveUser(name, nil, passwd, group)
		if err = cmp.Or(passwdErr, groupErr, err); err != nil {
			return err
		}
		f.own = func(h *tar.Header) error {
			h.Uid, h.Gid = int(user.UID), int(user.GID)
			return enter(f.ids, h)
		}
	}
	return act(f)
}

// leaves gives what goes out its owner.
func (f *files) leaves(h *tar.Header) { leave(f.ids, h) }

// checkWritable says why nothing can be copied into a directory of the container.
func (f *files) checkWritable(dir *os.File) error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &fs); err != nil || fs.Flags&unix.ST_RDONLY == 0 {
		return err
	}
	var root, at unix.Statx_t
	err := errors.Join(unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &root),
		unix.Statx(int(dir.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &at))
	if err == nil && root.Mnt_id != at.Mnt_id {
		return errors.New("mounted volume is marked read-only")
	}
	return cmp.Or(err, errors.New("container rootfs is marked read-only"))
}
