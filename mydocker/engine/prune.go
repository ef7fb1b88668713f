package engine

import (
	"errors"
	"strconv"

	"minidocker/mydocker/disk"
	"minidocker/mydocker/image"
	"minidocker/mydocker/overlay"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	imageapi "github.com/moby/moby/api/types/image"
)

// PruneContainers removes the containers that do not run and that the filters until,
// label and label! let through.
func (e *Engine) PruneContainers(f Filters) (report api.PruneReport, err error) {
	if err := f.check("label", "label!", "until"); err != nil {
		return report, err
	}
	match, err := matcher(f, e.condition)
	all, err2 := e.snapshot()
	if err := errors.Join(err, err2); err != nil {
		return report, err
	}
	for _, c := range all {
		if !match(c) {
			continue
		}
		size, rerr := e.removeIdle(c.ID)
		switch runs := (*RunningError)(nil); {
		case rerr == nil:
			report.ContainersDeleted = append(report.ContainersDeleted, c.ID)
			report.SpaceReclaimed += uint64(size)
		case !errors.Is(rerr, disk.ErrLocked) && !isGone(rerr) && !errors.As(rerr, &runs):
			err = errors.Join(err, rerr)
		}
	}
	e.pruneEvent(events.ContainerEventType, report.SpaceReclaimed)
	return report, err
}

// removeIdle removes a container unless somebody has it in hand: it runs, is about to,
// or is just being removed. size is that of its own layer, in bytes.
func (e *Engine) removeIdle(id string) (size int64, err error) {
	lock, err := e.containers.TryLock(id)
	if err != nil {
		return 0, err
	}
	defer lock.Release()
	if size, err = overlay.Size(e.upper(id)); err == nil {
		err = e.removeDead(id, RemoveOptions{})
	}
	return size, err
}

// PruneImages removes the images that no container uses and that the filters let
// through: those without a name, with all the others too.
func (e *Engine) PruneImages(all bool, f Filters) (report imageapi.PruneReport, err error) {
	if err := f.check("label", "label!", "until"); err != nil {
		return report, err
	}
	lock, err := e.lockStore(disk.Exclusive)
	if err != nil {
		return report, err
	}
	defer lock.Release()
	match, err := matcher(f, e.imageCondition)
	users, err2 := e.imageUsers()
	if err := errors.Join(err, err2); err != nil {
		return report, err
	}
	stored, err := e.images.List()
	if err != nil {
		return report, err
	}
	deleted, freed, err := e.images.Prune(image.RemoveOptions{InUse: inUse(users)}, func(i *image.Image) (keep bool) {
		return !all && i.Names != nil || !match(i)
	})
	if err != nil {
		return report, err
	}
	e.removedEvents(stored, deleted)
	e.pruneEvent(events.ImageEventType, uint64(freed))
	return imageapi.PruneReport{ImagesDeleted: deleted, SpaceReclaimed: uint64(freed)}, nil
}

func (e *Engine) pruneEvent(kind events.Type, reclaimed uint64) {
	e.journal.Append(events.Message{Type: kind, Action: events.ActionPrune,
		Actor: events.Actor{Attributes: map[string]string{"reclaimed": strconv.FormatUint(reclaimed, 10)}}})
}
