package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	gigabyte  = 1_000_000_000
	manyFiles = 20_000
	cpName    = "mydocker-bench-cp"
)

// fileMeasures are of what copies files. What arrives is compared, off the clock.
func fileMeasures(dir string) []measure {
	one, many := dir+"/gigabyte", dir+"/many"
	return []measure{
		copyOut("cp 20,000 files out", many, writeMany, true), copyIn("cp 20,000 files in", many, writeMany, true),
		copyIn("cp 1 GB in", one, writeGigabyte, false), copyOut("cp 1 GB out", one, writeGigabyte, false),
		exportMeasure(dir),
	}
}

// Many files are kept until the end of all: ext4 looks at every inode deleted in the
// last minutes before it makes another, which takes longer than to copy.

func copyIn(name, source string, write func(string) error, keep bool) measure {
	container, taken := cpName, 0
	return measure{
		name: name, slow: true, skip: noImages, budgets: half,
		setup: func(*engine) error { return write(source) },
		sample: func(e *engine) (float64, error) {
			if taken++; keep {
				container = fmt.Sprint(cpName, "-", taken)
			} else {
				e.do("rm", "-f", container) // perhaps it is not there
			}
			if err := e.do(e.createArgs(container)...); err != nil {
				return 0, err
			}
			unix.Sync() // nobody pays for what another has written
			seconds, err := timed(func() error { return e.do("cp", source, container+":/copy") })
			if err != nil {
				return 0, err
			}
			return seconds, complete(source, func(got sums) error {
				r, w := io.Pipe()
				go func() { w.CloseWithError(e.output(w, "cp", container+":/copy", "-")) }()
				return got.addTar(r)
			})
		},
		done: func(e *engine) error {
			if keep {
				return nil
			}
			return e.do("rm", "-f", container)
		},
	}
}

func copyOut(name, source string, write func(string) error, keep bool) measure {
	container, taken := cpName+"-out-"+filepath.Base(source), 0
	return measure{
		name: name, slow: true, skip: noImages, budgets: half,
		setup: func(e *engine) error {
			if err := errors.Join(write(source), e.do(e.createArgs(container)...)); err != nil {
				return err
			}
			return e.do("cp", source, container+":/copy")
		},
		sample: func(e *engine) (float64, error) {
			taken++
			target := fmt.Sprint(source, "-copy-", taken)
			if !keep {
				defer os.RemoveAll(target)
			}
			unix.Sync()
			seconds, err := timed(func() error { return e.do("cp", container+":/copy", target) })
			if err != nil {
				return 0, err
			}
			return seconds, complete(source, func(got sums) error { return got.addTree(target) })
		},
	}
}

// exportMeasure is of a container of Debian, to a file.
func exportMeasure(dir string) measure {
	const name = "mydocker-bench-export"
	archive := dir + "/debian-image.tar"
	return measure{
		name: "export, Debian", slow: true, skip: noImages, budgets: half,
		setup: func(e *engine) error {
			if err := writeArchive(archive, os.Getenv("MYDOCKER_ROOTFS_DEBIAN")); err != nil {
				return err
			}
			if err := e.do("load", "-q", "-i", archive); err != nil {
				return err
			}
			return e.do(append(append([]string{"create", "--name", name}, e.flags...), loadImage, "true")...)
		},
		sample: func(e *engine) (float64, error) {
			target := dir + "/export.tar"
			defer os.Remove(target)
			unix.Sync()
			seconds, err := timed(func() error { return e.do("export", "-o", target, name) })
			if err != nil {
				return 0, err
			}
			want, got := sums{}, sums{}
			err = errors.Join(want.addTarFile(os.Getenv("MYDOCKER_ROOTFS_DEBIAN")), got.addTarFile(target))
			for _, own := range []string{"etc/hostname", "etc/hosts", "etc/resolv.conf"} {
				delete(want, own) // the container's
			}
			return seconds, errors.Join(err, got.have(want))
		},
		done: func(e *engine) error { return e.do("rm", "-f", name) },
	}
}

func writeGigabyte(path string) error { return writeLines(path, gigabyte) }

func writeMany(path string) error { return writeFiles(path, manyFiles) }

// writeFiles writes small files, 200 to a directory.
func writeFiles(path string, count int) (err error) {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	for i := range count {
		sub := fmt.Sprintf("%s/%d", path, i/200)
		err = errors.Join(os.MkdirAll(sub, 0o755), os.WriteFile(fmt.Sprintf("%s/%d", sub, i), fmt.Appendf(nil, "%0*d\n", i%3000, i), 0o644))
		if err != nil {
			return err
		}
	}
	return nil
}

// sums are checksums of regular files by their path.
type sums map[string]uint32

func (s sums) add(name string, from io.Reader) error {
	hash := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	_, err := io.Copy(hash, from)
	s[name] = hash.Sum32()
	return err
}

func (s sums) addTar(from io.Reader) error {
	r := tar.NewReader(from)
	for {
		header, err := r.Next()
		if err == io.EOF {
			_, err = io.Copy(io.Discard, from)
			return err
		}
		if err == nil && header.Typeflag == tar.TypeReg {
			err = s.add(filepath.Clean(header.Name), r)
		}
		if err != nil {
			return err
		}
	}
}

func (s sums) addTarFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return s.addTar(file)
}

func (s sums) addTree(top string) error {
	return filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		return s.add("copy"+strings.TrimPrefix(path, top), file)
	})
}

// have tells whether all that is wanted is there and as it was.
func (s sums) have(want sums) error {
	for name, sum := range want {
		if got, there := s[name]; !there || got != sum {
			return fmt.Errorf("%s of %d files did not arrive as it was", name, len(want))
		}
	}
	return nil
}

// complete tells whether what has arrived is the source and nothing else.
func complete(source string, arrived func(sums) error) error {
	want, got := sums{}, sums{}
	if err := errors.Join(want.addTree(source), arrived(got)); err != nil {
		return err
	}
	if !maps.Equal(want, got) {
		return fmt.Errorf("%d files arrived of %d: %w", len(got), len(want), got.have(want))
	}
	return nil
}
