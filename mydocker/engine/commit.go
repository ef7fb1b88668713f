package engine

import (
	"archive/tar"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"minidocker/mydocker/attach"
	"minidocker/mydocker/container"
	"minidocker/mydocker/disk"
	"minidocker/mydocker/image"
	"minidocker/mydocker/image/layer"
	"minidocker/mydocker/overlay"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
)

// CommitOptions describe an image made of a container.
type CommitOptions struct {
	Ref             string // name:tag; "": an image without a name
	Author, Message string
	Changes         []string // Dockerfile instructions
	Pause           bool     // a container that runs, while its files are read
}

// Commit makes an image of a container's changes and returns its ID.
func (e *Engine) Commit(ref string, o CommitOptions) (id string, err error) {
	id, err = e.find(ref)
	if err != nil {
		return "", err
	}
	record, err := e.containers.Record(id)
	if err != nil {
		return "", err
	}
	config, err := committed(record.Config, o.Changes)
	if err != nil {
		return "", err
	}
	i, err := e.images.Commit(image.CommitOptions{Parent: record.Image, Ref: o.Ref, Author: o.Author, Message: o.Message,
		CreatedBy: strings.Join(record.Config.Cmd, " "), Config: config},
		func(w io.Writer) error { return e.writeChanges(w, record, o.Pause) })
	if err != nil {
		return "", err
	}
	name := strings.Join(i.Names, "") // one or none
	if name != "" {
		e.imageEvent(events.ActionTag, i.ID.String(), name, i)
	}
	e.journal.Append(record.Event(events.ActionCommit, map[string]string{"comment": o.Message, "imageID": i.ID.String(), "imageRef": name}))
	return i.ID.String(), nil
}

// committed is the container's config, which has the image's in it already, with
// changes. A command, or entry point, that these leave empty is the container's.
func committed(from *api.Config, changes []string) (config dockerspec.DockerOCIImageConfig, err error) {
	data, err := json.Marshal(from) // a copy too: the record keeps its maps
	if err == nil {
		err = json.Unmarshal(data, &config)
	}
	if err == nil {
		err = image.Change(&config, changes)
	}
	if len(config.Entrypoint) == 0 {
		if len(config.Cmd) == 0 {
			config.Cmd = from.Cmd
		}
		if config.Entrypoint == nil {
			config.Entrypoint = from.Entrypoint
		}
	}
	return config, err
}

// writeChanges writes the container's changes as a layer. Overlayfs is mounted
// without what would make upper more than that, see overlay.Mount.
func (e *Engine) writeChanges(w io.Writer, record *container.Record, pause bool) error {
	release, err := e.hold(record.ID, pause)
	if err != nil {
		return err
	}
	defer release()
	upper, path, err := e.openUpper(record)
	defer upper.Close() // harmless if nil
	switch {
	case errors.Is(err, os.ErrNotExist): // it was never started
		err = tar.NewWriter(w).Close()
	case err == nil:
		var untouched func(string) bool
		if untouched, err = overlay.Untouched(path, e.containers.Layers(record).Lower, isMountPoint); err == nil {
			err = layer.Diff(w, upper, func(name string) bool { return untouched("/" + name) })
		}
	}
	// Removal begins with another name for the directory: if it is there, all was read.
	_, gone := e.containers.Record(record.ID)
	return cmp.Or(gone, err)
}

// hold keeps a container from changing until release: its monitor pauses it, as
// long as we are connected; a dead one's lock is ours. Not to pause a live one is to
// leave it alone.
func (e *Engine) hold(id string, pause bool) (release func() error, err error) {
	for deadline := time.Now().Add(answerTime); ; time.Sleep(10 * time.Millisecond) {
		if pause {
			conn, err := e.dial(id, attach.Request{Verb: attach.Hold}, false)
			if err == nil {
				if _, _, err = attach.Answer(conn); err == nil {
					return conn.Close, nil
				}
				conn.Close()
			}
			if !isDead(err) && !errors.Is(err, attach.ErrLost) && !errors.Is(err, attach.ErrLeaving) {
				return nil, err
			}
		}
		lock, err := e.containers.TryLock(id)
		switch {
		case err == nil:
			if _, err = e.reconcile(id); err != nil {
				lock.Release()
			}
			return lock.Release, err
		case errors.Is(err, disk.ErrLocked) && !pause:
			return func() error { return nil }, nil
		case !errors.Is(err, disk.ErrLocked) || time.Now().After(deadline):
			return nil, err
		}
	}
}
