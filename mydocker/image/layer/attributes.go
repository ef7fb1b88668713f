package layer

import (
	"archive/tar"
	"strings"

	"golang.org/x/sys/unix"
)

// maxAttribute is what the longest value of an extended attribute takes, and the names
// of all of a file, in bytes (xattr(7)).
const maxAttribute = 64 << 10

// attributes adds an open file's extended attributes (PAX, as star(1) writes them).
func attributes(header *tar.Header, fd int, buffer []byte) {
	n, _ := unix.Flistxattr(fd, buffer) // an error: the file system has none
	if n <= 0 {
		return
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(buffer[:n]), "\x00"), "\x00") {
		if strings.Contains(name, "=") || strings.HasPrefix(name, "security.") && name != "security.capability" || isOverlay(name) {
			continue
		}
		room := buffer
		if strings.HasPrefix(name, "system.posix_acl_") {
			// Linux 6.0 and 6.1 change the IDs in a list, which an id-mapped mount asks
			// for, only if the buffer is as long as a list can be: 4+8n bytes.
			room = buffer[:maxAttribute-4]
		}
		if n, err := unix.Fgetxattr(fd, name, room); err == nil { // else it is gone
			if header.PAXRecords == nil {
				header.PAXRecords = map[string]string{}
			}
			header.PAXRecords[xattrRecord+name] = portable(name, buffer[:n])
		}
	}
}

// portable is an attribute's value in an archive. Capabilities set in a user namespace
// name its root (capabilities(7), revision 3), who is nobody elsewhere: as in Docker they
// become those of revision 2.
func portable(name string, value []byte) string {
	if name == "security.capability" && len(value) == 24 && value[3] == 3 {
		value[3], value = 2, value[:20]
	}
	return string(value)
}

// isOverlay tells an attribute by which overlayfs would take orders from an archive:
// redirects to other directories, metadata-only files.
func isOverlay(attr string) bool {
	return strings.HasPrefix(attr, "trusted.overlay.") || strings.HasPrefix(attr, "user.overlay.")
}
