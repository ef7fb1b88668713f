package engine

import (
	"fmt"
	"strings"

	imageapi "github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/storage"

	"minidocker/mydocker/image"
)

// History tells how an image was made, the last step first. Only of images that are
// stored, itself and those it was committed from, the IDs are known.
func (e *Engine) History(ref, platform string) ([]imageapi.HistoryResponseItem, error) {
	i, err := e.images.Resolve(ref)
	if err != nil {
		return nil, err
	}
	if err := i.CheckPlatform(platform, ref); err != nil {
		return nil, err
	}
	steps := make([]imageapi.HistoryResponseItem, len(i.Config.History))
	layers := e.images.LayerSizes(i)
	for n, h := range i.Config.History {
		step := imageapi.HistoryResponseItem{ID: "<missing>", CreatedBy: h.CreatedBy, Comment: h.Comment}
		if h.Created != nil {
			step.Created = h.Created.Unix()
		}
		if !h.EmptyLayer {
			if len(layers) == 0 {
				return nil, fmt.Errorf("too many non-empty layers in History section")
			}
			step.Size, layers = layers[0], layers[1:]
		}
		steps[len(steps)-1-n] = step
	}
	for n := range steps {
		steps[n].ID, steps[n].Tags = i.ID.String(), i.Names
		if i, err = e.images.Resolve(i.Parent.String()); err != nil {
			break
		}
	}
	return steps, nil
}

// ImageInspect is all about an image: Docker's fields, and one that only its older API has.
type ImageInspect struct {
	imageapi.InspectResponse
	Parent string // the ID of the image it was committed from; "": none
}

// imageDriver tells where the image's unpacked layers are, in the words of Docker's overlay2.
func (e *Engine) imageDriver(i *image.Image) *storage.DriverData {
	data := map[string]string{}
	if dirs, err := e.images.LayerDirs(i); err == nil && len(dirs) > 0 {
		data["UpperDir"] = dirs[0]
		if len(dirs) > 1 {
			data["LowerDir"] = strings.Join(dirs[1:], ":")
		}
	}
	return &storage.DriverData{Name: "overlay2", Data: data}
}
