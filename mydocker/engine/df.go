package engine

import (
	"errors"

	"github.com/moby/moby/api/types/build"
	api "github.com/moby/moby/api/types/container"
	imageapi "github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/system"
	"github.com/opencontainers/go-digest"
)

// DiskUsage tells what images, containers and volumes take, in bytes (Engine API, GET
// /system/df). A layer that several images share is counted once. What could be
// reclaimed is Docker's sum: all but what images in use do not share.
func (e *Engine) DiskUsage() (system.DiskUsage, error) {
	stored, err := e.images.List()
	images, err2 := e.Images(ImagesOptions{All: true})
	containers, err3 := e.List(ListOptions{All: true, Size: true})
	volumes, err4 := e.volumeUsage()
	users, err5 := e.imageUsers()
	if err := errors.Join(err, err2, err3, err4, err5); err != nil {
		return system.DiskUsage{}, err
	}
	size, shared := e.images.Usage(stored)
	i := &imageapi.DiskUsage{TotalCount: int64(len(images)), TotalSize: size, Reclaimable: size, Items: images}
	for n := range images {
		one := &images[n]
		one.Containers = int64(len(users[one.ID]))
		if one.SharedSize = shared[digest.Digest(one.ID)]; one.Containers > 0 {
			i.ActiveCount++
			i.Reclaimable -= one.Size - one.SharedSize
		}
	}
	c := &api.DiskUsage{TotalCount: int64(len(containers)), Items: containers}
	for _, one := range containers {
		c.TotalSize += one.SizeRw
		switch one.State {
		case api.StateRunning, api.StatePaused, api.StateRestarting:
			c.ActiveCount++
		default:
			c.Reclaimable += one.SizeRw
		}
	}
	return system.DiskUsage{ImageUsage: i, ContainerUsage: c, VolumeUsage: volumes, BuildCacheUsage: &build.DiskUsage{}}, nil
}
