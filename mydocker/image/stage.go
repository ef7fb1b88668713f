package image

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"minidocker/mydocker/disk"
	"minidocker/mydocker/image/layer"
	"minidocker/mydocker/trace"
)

// stage is where blobs and layers are built, aside from what others see, until
// commit moves them into the store. The lock in it tells a living process's
// stage from what a dead one left. Its methods may run in parallel, but for
// commit and close.
type stage struct {
	store *Store
	dir   string
	lock  *disk.Lock

	mu     sync.Mutex
	serial int
	blobs  map[digest.Digest]string // verified content, by its digest
	layers map[digest.Digest]string // unpacked layers, by diff ID
}

// staged is a file of a stage with the digest of its content.
type staged struct {
	path   string
	digest digest.Digest
	size   int64
}

// newStage makes an empty stage and sweeps those of dead processes. Both happen
// under the store's lock: between mkdir and flock a stage looks dead.
func (s *Store) newStage() (*stage, error) {
	g := &stage{store: s, blobs: map[digest.Digest]string{}, layers: map[digest.Digest]string{}}
	err := s.locked(func() error {
		dead, err := s.deadStages()
		for _, dir := range dead {
			err = errors.Join(err, disk.RemoveAll(dir))
		}
		if err != nil {
			return err
		}
		if g.dir, err = os.MkdirTemp(s.layers(), "new-*"); err != nil {
			return err
		}
		if g.lock, err = disk.TryAcquire(filepath.Join(g.dir, "lock"), disk.Exclusive); err != nil {
			os.Remove(g.dir)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("image store: %w", err)
	}
	return g, nil
}

// deadStages lists the stages that no process holds. Call it under the lock.
func (s *Store) deadStages() ([]string, error) {
	found, err := filepath.Glob(filepath.Join(s.layers(), "new-*"))
	if err != nil {
		return nil, err
	}
	var dead []string
	for _, dir := range found {
		lock, err := disk.TryAcquire(filepath.Join(dir, "lock"), disk.Exclusive)
		switch {
		case errors.Is(err, disk.ErrLocked), errors.Is(err, os.ErrNotExist): // alive; gone meanwhile
		case err != nil && !errors.Is(err, unix.ENOSPC):
			return nil, err
		default: // on a full disk a lost lock file cannot be made again
			dead = append(dead, dir)
			if lock != nil {
				lock.Release()
			}
		}
	}
	return dead, nil
}

// close removes what was not committed.
func (g *stage) close() error {
	err := disk.RemoveAll(g.dir)
	g.lock.Release()
	return err
}

// path names a new file or directory of the stage.
func (g *stage) path(kind string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.serial++
	return filepath.Join(g.dir, kind+"-"+strconv.Itoa(g.serial))
}

// write stores a stream in the stage. It does not become a blob before addBlob.
func (g *stage) write(r io.Reader) (staged, error) {
	w, err := g.create()
	if err != nil {
		return staged{}, err
	}
	defer w.file.Close()
	if _, err := io.CopyBuffer(w, onlyReader{r}, make([]byte, 1<<20)); err != nil {
		return staged{}, err
	}
	return w.finish()
}

// onlyReader hides WriteTo, by which io.Copy would choose smaller buffers.
type onlyReader struct{ io.Reader }

// blobWriter writes a file of the stage and hashes it.
type blobWriter struct {
	file *os.File
	sum  digest.Digester
	size int64
}

func (g *stage) create() (*blobWriter, error) {
	file, err := os.OpenFile(g.path("blob"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &blobWriter{file: file, sum: digest.SHA256.Digester()}, nil
}

// Write hashes beside the system call: each takes about as long as the other.
func (w *blobWriter) Write(p []byte) (int, error) {
	hashed := make(chan struct{})
	go func() {
		w.sum.Hash().Write(p)
		close(hashed)
	}()
	n, err := w.file.Write(p)
	<-hashed
	w.size += int64(n)
	return n, err
}

func (w *blobWriter) finish() (staged, error) {
	// Begin to write it out now: commit has to wait for the device.
	unix.SyncFileRange(int(w.file.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
	return staged{w.file.Name(), w.sum.Digest(), w.size}, w.file.Close()
}

// addBlob makes a staged file a blob that commit may move into the store.
func (g *stage) addBlob(f staged) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.blobs[f.digest] = f.path
}

// unpack unpacks a layer, compressed or not, into the stage. The layer is
// committed with the rest unless the caller gives the stage up.
func (g *stage) unpack(r io.Reader) (layer.Stats, error) {
	plain, _, err := layer.Decompress(r)
	if err != nil {
		return layer.Stats{}, err
	}
	defer plain.Close()
	return g.unpackPlain(plain)
}

func (g *stage) unpackPlain(plain io.Reader) (layer.Stats, error) {
	dir := g.path("layer")
	fs := filepath.Join(dir, "fs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return layer.Stats{}, err
	}
	if err := os.Mkdir(fs, 0o755); err != nil {
		return layer.Stats{}, err
	}
	// mkdir(2) is subject to the umask, and this is "/" of containers.
	if err := os.Chmod(fs, 0o755); err != nil {
		return layer.Stats{}, err
	}
	trace.Step("untar", "layer into %s", fs)
	stats, err := layer.Apply(fs, plain)
	if err != nil {
		return layer.Stats{}, err
	}
	if err := writeLayerRecords(dir, stats); err != nil {
		return layer.Stats{}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.layers[stats.DiffID] = dir
	return stats, nil
}

// unpackVerified is unpack of a layer whose diff ID is known. Where the store
// has it already the stream is only verified.
func (g *stage) unpackVerified(r io.Reader, diffID digest.Digest) error {
	have, err := g.store.hasLayer(diffID)
	if err != nil {
		return err
	}
	var found digest.Digest
	if have {
		found, err = digestOf(r)
	} else {
		var stats layer.Stats
		stats, err = g.unpack(r)
		found = stats.DiffID
	}
	if err == nil && found != diffID {
		err = fmt.Errorf("layer verification failed: content is %s", found)
	}
	if err != nil {
		return fmt.Errorf("layer %s: %w", diffID, err)
	}
	return nil
}

// digestOf is the digest of a stream without its compression.
func digestOf(r io.Reader) (digest.Digest, error) {
	plain, _, err := layer.Decompress(r)
	if err != nil {
		return "", err
	}
	defer plain.Close()
	sum := sha256.New()
	_, err = io.CopyBuffer(sum, onlyReader{plain}, make([]byte, 1<<20))
	return digest.NewDigest(digest.SHA256, sum), err
}
