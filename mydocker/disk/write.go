package disk

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
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
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	err = fill(temp, data, perm, d)
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		os.Remove(temp.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	if d == Durable {
		return Sync(dir)
	}
	return nil
}

func fill(file *os.File, data []byte, perm os.FileMode, d Durability) error {
	defer file.Close()
	if _, err := file.Write(data); err != nil {
		return err
	}
	if err := file.Chmod(perm); err != nil {
		return err
	}
	if d == Durable {
		if err := file.Sync(); err != nil {
			return err
		}
	}
	return file.Close()
}

// Sync makes what was renamed into a directory survive a power cut (fsync(2):
// syncing a file does not sync its name).
func Sync(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// WriteJSON writes v as indented JSON by WriteFile, so that a person can read it.
func WriteJSON(path string, v any, d Durability) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	return WriteFile(path, append(data, '\n'), 0o600, d)
}

// OverwriteJSON writes v over the file at path, in the blocks it has already: the
// last resort on a full disk, where WriteJSON has no room for a second file. A
// crash in the middle tears it.
func OverwriteJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("overwrite: %w", err)
	}
	defer file.Close()
	if _, err := file.WriteAt(append(data, '\n'), 0); err != nil {
		return fmt.Errorf("overwrite: %w", err)
	}
	return file.Truncate(int64(len(data)) + 1)
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
