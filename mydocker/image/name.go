package image

import (
	"maps"
	"slices"
	"strings"

	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// annotationName holds a descriptor's full name, as containerd and docker save
// write it. The same descriptor carries the familiar name in the annotation by
// which skopeo and umoci find images in a layout (oci:ROOT/image:busybox:latest).
const annotationName = "io.containerd.image.name"

// Normalize parses an image name as Docker does: busybox means
// docker.io/library/busybox:latest.
func Normalize(name string) (reference.Named, error) {
	named, err := reference.ParseDockerRef(name)
	if err != nil {
		return nil, err
	}
	return named, nil
}

// Familiar is the short form of a full name, for people.
func Familiar(full string) string {
	named, err := reference.ParseNormalizedNamed(full)
	if err != nil {
		return full
	}
	return reference.FamiliarString(named)
}

// nameOf is the full name of a descriptor, empty if it has none. A descriptor
// that another tool put into the layout has a reference name only.
func nameOf(d *ocispec.Descriptor) string {
	if name := d.Annotations[annotationName]; name != "" {
		return name
	}
	if name := d.Annotations[ocispec.AnnotationRefName]; name != "" {
		if named, err := Normalize(name); err == nil {
			return named.String()
		}
	}
	return ""
}

// isDigestName tells "name@sha256:..." from "name:tag".
func isDigestName(full string) bool {
	named, err := reference.ParseNormalizedNamed(full)
	_, ok := named.(reference.Digested)
	return err == nil && ok
}

// setName makes name mean the descriptor d. The image that had the name stays
// in the index without it, unless it has others.
func setName(index *ocispec.Index, d ocispec.Descriptor, name reference.Named) {
	clearName(index, name.String())
	index.Manifests = slices.DeleteFunc(index.Manifests, func(other ocispec.Descriptor) bool {
		return other.Digest == d.Digest && nameOf(&other) == ""
	})
	d.Annotations = maps.Clone(d.Annotations)
	if d.Annotations == nil {
		d.Annotations = map[string]string{}
	}
	d.Annotations[annotationName] = name.String()
	d.Annotations[ocispec.AnnotationRefName] = reference.FamiliarString(name)
	index.Manifests = append(index.Manifests, d)
}

// clearName takes a name away and reports whether it existed. The last
// descriptor of an image stays, without a name.
func clearName(index *ocispec.Index, full string) bool {
	at := slices.IndexFunc(index.Manifests, func(d ocispec.Descriptor) bool { return nameOf(&d) == full })
	if at < 0 {
		return false
	}
	bare := withoutName(index.Manifests[at])
	index.Manifests = slices.Delete(index.Manifests, at, at+1)
	addNameless(index, bare)
	return true
}

// addNameless makes sure that the index refers to d.
func addNameless(index *ocispec.Index, d ocispec.Descriptor) {
	same := func(other ocispec.Descriptor) bool { return other.Digest == d.Digest }
	if !slices.ContainsFunc(index.Manifests, same) {
		index.Manifests = append(index.Manifests, d)
	}
}

func withoutName(d ocispec.Descriptor) ocispec.Descriptor {
	d.Annotations = maps.Clone(d.Annotations)
	delete(d.Annotations, annotationName)
	delete(d.Annotations, ocispec.AnnotationRefName)
	return d
}

// isIDPrefix reports whether ref can be the beginning of an image ID's digits.
func isIDPrefix(ref string) bool {
	return ref != "" && len(ref) <= 64 && strings.Trim(ref, "0123456789abcdef") == ""
}
