package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"minidocker/mydocker/trace"
)

// tree is the directory being filled. Every name reaches the kernel as an open
// parent directory and one last component that is never followed.
type tree struct {
	root  int
	dirs  []*tar.Header // whose times are still to be set
	size  int64
	block []byte
	plain bool // a Target's: no whiteouts, and kinds are kept apart
}

// open opens the directory at name, resolved as if the tree were the root
// directory of the process: "..", absolute links and links to links end inside
// (openat2(2), RESOLVE_IN_ROOT), as they would after chroot(2).
func (t *tree) open(name string, flags uint64) (int, error) {
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC | flags,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	for {
		fd, err := unix.Openat2(t.root, name, &how)
		// EAGAIN: something on the system was renamed while the kernel looked at
		// "..", which it takes for a possible escape until it is tried again.
		if err != unix.EAGAIN && err != unix.EINTR {
			return fd, err
		}
	}
}

// dir opens the directory at name, a clean relative path. What is missing on the
// way is made, with mode 0755. The caller closes it.
func (t *tree) dir(name string) (int, error) {
	fd, err := t.open(name, 0)
	if name != "." && (err == unix.ENOENT || err == unix.ENOTDIR) { // ENOTDIR: perhaps a whiteout
		parent, perr := t.dir(path.Dir(name))
		if perr != nil {
			return -1, perr
		}
		defer unix.Close(parent)
		if err := mkdir(parent, path.Base(name)); err != nil {
			return -1, fmt.Errorf("mkdir %s: %w", name, err)
		}
		fd, err = t.open(name, 0)
	}
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", name, err)
	}
	return fd, nil
}

// mkdir makes a directory, unless there is one. Where this layer has a whiteout it
// becomes opaque, so that what the whiteout hides does not shine through.
func mkdir(parent int, name string) error {
	err := unix.Mkdirat(parent, name, 0o755)
	if err != unix.EEXIST {
		return err
	}
	var st unix.Stat_t
	err = unix.Fstatat(parent, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil || st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != 0 {
		return unix.EEXIST
	}
	return errors.Join(unix.Unlinkat(parent, name, 0), unix.Mkdirat(parent, name, 0o755), setOpaque(procPath(parent, name)))
}

// whiteout hides what lower layers have at name. What this layer itself has
// there stays (OCI image-spec, layer.md: a whiteout applies to lower layers
// only), and if it is a directory it stands alone.
func whiteout(parent int, name string) error {
	if name == "" || name == "." || name == ".." {
		return errors.New("whiteout of no file")
	}
	trace.Step("mknod", "whiteout %s, character device 0:0", name)
	err := unix.Mknodat(parent, name, unix.S_IFCHR, 0)
	if err != unix.EEXIST {
		return err
	}
	var st unix.Stat_t
	err = unix.Fstatat(parent, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return err
	}
	return setOpaque(procPath(parent, name))
}

// setOpaque makes overlayfs show nothing of the lower directories at path
// (kernel: Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories").
func setOpaque(path string) error {
	trace.Step("setxattr", "%s %s=y", path, opaque)
	return unix.Lsetxattr(path, opaque, []byte("y"), 0)
}

// procPath is for system calls that have no *at form. /proc/self/fd is a magic link
// to the directory itself: nothing on the way can be exchanged.
func procPath(parent int, name string) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", parent, name)
}

// create makes the file itself; if there is one already it is the bare EEXIST.
func (t *tree) create(header *tar.Header, parent int, base string, content io.Reader) error {
	device := int(unix.Mkdev(uint32(header.Devmajor), uint32(header.Devminor)))
	switch header.Typeflag {
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		return t.regular(header, parent, base, content)
	case tar.TypeLink:
		return t.link(header, parent, base)
	case tar.TypeDir:
		t.dirs = append(t.dirs, header)
		return mkdir(parent, base)
	case tar.TypeSymlink:
		err := unix.Symlinkat(header.Linkname, parent, base)
		if err == nil {
			t.size += int64(len(header.Linkname))
		}
		return err
	case tar.TypeChar:
		return unix.Mknodat(parent, base, unix.S_IFCHR|0o600, device)
	case tar.TypeBlock:
		return unix.Mknodat(parent, base, unix.S_IFBLK|0o600, device)
	case tar.TypeFifo:
		return unix.Mknodat(parent, base, unix.S_IFIFO|0o600, 0)
	}
	return fmt.Errorf("unknown type %q of entry", header.Typeflag)
}

// regular makes a file, leaving holes for blocks of zeros.
func (t *tree) regular(header *tar.Header, parent int, base string, content io.Reader) error {
	fd, err := unix.Openat(parent, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), base)
	defer file.Close()
	source, isFile := content.(*os.File)
	if isFile && header.Size > blockSize {
		if err := send(file, source, header.Size); err != nil {
			unix.Unlinkat(parent, base, 0) // half a file is none
			return err
		}
		return nil
	}
	for offset := int64(0); offset < header.Size; {
		block := t.block[:min(header.Size-offset, blockSize)]
		if n, err := io.ReadFull(content, block); err != nil && isFile && n < len(block) {
			block, header.Size = block[:n], offset+int64(n) // it has become shorter meanwhile
		} else if err != nil {
			return fmt.Errorf("read layer: %w", err)
		}
		offset += int64(len(block))
		if isHole := len(block) > 0 && block[0] == 0 && bytes.Equal(block[:len(block)-1], block[1:]); isHole {
			err = file.Truncate(offset)
		} else {
			_, err = file.WriteAt(block, offset-int64(len(block)))
		}
		if err != nil {
			return err
		}
	}
	t.size += header.Size
	return nil
}

// link makes a hard link. The target is named from the archive's root.
func (t *tree) link(header *tar.Header, parent int, base string) error {
	target, err := cleanName(header.Linkname)
	if err != nil {
		return err
	}
	if name, _ := cleanName(header.Name); target == name { // what GNU tar writes for a file named twice
		return nil
	}
	from, err := t.dir(path.Dir(target))
	if err != nil {
		return err
	}
	defer unix.Close(from)
	err = unix.Linkat(from, path.Base(target), parent, base, 0) // 0: a symbolic link is not followed
	if err != nil && err != unix.EEXIST {
		return fmt.Errorf("hard link to %q: %w", header.Linkname, err)
	}
	return err
}

// setAttributes gives a new file its owner, mode, attributes and times. The
// owner comes first, because chown(2) clears set-user-ID bits and capabilities.
func setAttributes(header *tar.Header, parent int, base string) error {
	if err := unix.Fchownat(parent, base, header.Uid, header.Gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("chown: %w", err)
	}
	if header.Typeflag != tar.TypeSymlink {
		if err := chmod(parent, base, uint32(header.Mode&0o7777)); err != nil {
			return fmt.Errorf("chmod: %w", err)
		}
	}
	for key, value := range header.PAXRecords {
		attr, ok := strings.CutPrefix(key, xattrRecord)
		if !ok || isOverlay(attr) {
			continue
		}
		err := unix.Lsetxattr(procPath(parent, base), attr, []byte(value), 0)
		// ENOTSUP: the file system has none; EPERM: only files and directories
		// carry user attributes (xattr(7)).
		if err != nil && err != unix.ENOTSUP && (err != unix.EPERM || !strings.HasPrefix(attr, "user.")) {
			return fmt.Errorf("setxattr %s: %w", attr, err)
		}
	}
	return setTimes(header, parent, base, unix.AT_SYMLINK_NOFOLLOW)
}

// chmod changes a mode and follows no link, which fchmodat(2) cannot; fchmodat2
// came with Linux 6.6.
func chmod(parent int, base string, mode uint32) error {
	err := unix.Fchmodat(parent, base, mode, unix.AT_SYMLINK_NOFOLLOW)
	if err != unix.EOPNOTSUPP {
		return err
	}
	fd, err := unix.Openat(parent, base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), mode)
}

// restoreTimes comes when all is unpacked: each file made in a directory changes
// its modification time.
func (t *tree) restoreTimes() error {
	for _, header := range t.dirs {
		name, _ := cleanName(header.Name)
		fd, err := t.open(name, unix.O_NOFOLLOW)
		if err == unix.ENOENT || err == unix.ENOTDIR || err == unix.ELOOP {
			continue // a later entry replaced it
		}
		if err != nil {
			return fmt.Errorf("open %s: %w", name, err)
		}
		err = setTimes(header, fd, "", unix.AT_EMPTY_PATH)
		unix.Close(fd)
		if err != nil {
			return err
		}
	}
	return nil
}

func setTimes(header *tar.Header, dir int, name string, flags int) error {
	modified := unix.Timespec{Sec: header.ModTime.Unix(), Nsec: int64(header.ModTime.Nanosecond())}
	return unix.UtimesNanoAt(dir, name, []unix.Timespec{modified, modified}, flags)
}
