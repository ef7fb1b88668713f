package disk

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Durability says what a write must survive.
type Durability int

const (
	Volatile Durability = iota // survives the death of any process, not a power cut
	Durable                    // synced to the device: survives a power cut
)

// WriteFile replaces the file at path in one step: a reader sees the old
// content or the new, never a part. What a crash leaves is a file named
// .tmp-* beside it.
func WriteFile(path string, data []byte, perm os.FileMode, d Durability) error {
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, ".tmp-*")
	if err == nil {
		if err = fill(temp, data, perm, d); err == nil {
			err = replace(temp.Name(), path, d)
		}
		if err != nil {
			os.Remove(temp.Name())
		}
	}
	if err == nil && d == Durable {
		err = Sync(dir)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// replace gives a file the name of another, which goes. ext4 takes a rename over a file for
// somebody's wish to have the new content on the disk, and begins to write it, which costs
// a millisecond (ext4(5), auto_da_alloc). That two files exchange their names it does not.
func replace(from, to string, d Durability) error {
	if d == Volatile && unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_EXCHANGE) == nil {
		return os.Remove(from)
	}
	return os.Rename(from, to) // there is none yet, or the file system cannot exchange
}

func fill(file *os.File, data []byte, perm os.FileMode, d Durability) error {
	_, err := file.Write(data)
	if err == nil {
		err = file.Chmod(perm)
	}
	if err == nil && d == Durable {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}

// Sync makes what was renamed into a directory survive a power cut (fsync(2):
// syncing a file does not sync its name).
func Sync(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// WriteJSON writes v as indented JSON by WriteFile, so that a person can read it.
func WriteJSON(path string, v any, d Durability) error {
	data, err := encode(path, v)
	if err != nil {
		return err
	}
	return WriteFile(path, data, 0o600, d)
}

func encode(path string, v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", path, err)
	}
	return append(data, '\n'), nil
}

// OverwriteJSON writes v over the file at path, in the blocks it has already: the
// last resort on a full disk, where WriteJSON has no room for a second file. It is
// one write(2), padded with blanks over what was there, so that a process killed
// on the way does not tear it; a power cut may.
func OverwriteJSON(path string, v any) error {
	data, err := encode(path, v)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("overwrite: %w", err)
	}
	defer file.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		return fmt.Errorf("overwrite %s: %w", path, err)
	}
	if int64(len(data)) > st.Blocks*512 {
		return fmt.Errorf("overwrite %s: %w", path, unix.ENOSPC)
	}
	for int64(len(data)) < st.Size {
		data = append(data, ' ')
	}
	if _, err := file.Write(data); err != nil {
		return fmt.Errorf("overwrite: %w", err)
	}
	return nil
}

// ReadJSON reads what WriteJSON wrote. A file that is missing is an error that
// matches os.ErrNotExist; one that cannot be parsed does not, so that a damaged
// record is never taken for an absent one.
func ReadJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("read %s: damaged record: %w", path, err)
	}
	return nil
}
