package cli

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	api "github.com/moby/moby/api/types/container"
)

func containerTitles() header {
	return header{
		"ID": "CONTAINER ID", "Names": "NAMES", "Image": "IMAGE", "Command": "COMMAND",
		"CreatedAt": "CREATED AT", "RunningFor": "CREATED", "Ports": "PORTS", "State": "STATE",
		"Status": "STATUS", "Size": "SIZE", "Labels": "LABELS", "Mounts": "MOUNTS",
		"LocalVolumes": "LOCAL VOLUMES", "Networks": "NETWORKS", "Platform": "PLATFORM",
	}
}

// containerRow is a container in a list. Its methods are the fields of ps --format,
// https://docs.docker.com/reference/cli/docker/container/ls/#format.
type containerRow struct {
	c     api.Summary
	short bool
}

func (r *containerRow) MarshalJSON() ([]byte, error) { return marshalRow(r) }

func (r *containerRow) ID() string {
	if r.short {
		return shortID(r.c.ID)
	}
	return r.c.ID
}

func (r *containerRow) Names() string {
	var names []string
	for _, name := range r.c.Names {
		name = strings.TrimPrefix(name, "/")
		if !r.short || !strings.Contains(name, "/") { // not a link's name for it
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

func (r *containerRow) Image() string {
	switch {
	case r.c.Image == "":
		return "<no image>"
	case !r.short:
		return r.c.Image
	case strings.HasPrefix(r.c.Image, "sha256:"):
		return shortID(r.c.Image)
	}
	image, _, _ := strings.Cut(r.c.Image, "@")
	return image
}

func (r *containerRow) Command() string {
	if r.short {
		return strconv.Quote(truncate(r.c.Command, 20))
	}
	return strconv.Quote(r.c.Command)
}

func (r *containerRow) CreatedAt() string  { return time.Unix(r.c.Created, 0).String() }
func (r *containerRow) RunningFor() string { return ago(r.c.Created) }
func (r *containerRow) State() string      { return string(r.c.State) }
func (r *containerRow) Status() string     { return r.c.Status }
func (r *containerRow) Ports() string      { return portList(r.c.Ports) }

func (r *containerRow) Size() string {
	size := units.HumanSizeWithPrecision(float64(r.c.SizeRw), 3)
	if r.c.SizeRootFs > 0 {
		size += " (virtual " + units.HumanSizeWithPrecision(float64(r.c.SizeRootFs), 3) + ")"
	}
	return size
}

func (r *containerRow) Labels() string {
	var labels []string
	for key, value := range r.c.Labels {
		labels = append(labels, key+"="+value)
	}
	slices.Sort(labels)
	return strings.Join(labels, ",")
}

func (r *containerRow) Label(key string) string { return r.c.Labels[key] }

func (r *containerRow) Mounts() string {
	mounts := make([]string, len(r.c.Mounts))
	for i, m := range r.c.Mounts {
		mounts[i] = cmp.Or(m.Name, m.Source)
		if r.short {
			mounts[i] = truncate(mounts[i], 15)
		}
	}
	return strings.Join(mounts, ",")
}

func (r *containerRow) LocalVolumes() string {
	n := 0
	for _, m := range r.c.Mounts {
		if m.Driver == "local" {
			n++
		}
	}
	return strconv.Itoa(n)
}

func (r *containerRow) Networks() string {
	var networks []string
	if r.c.NetworkSettings != nil {
		for name := range r.c.NetworkSettings.Networks {
			networks = append(networks, name)
		}
	}
	slices.Sort(networks)
	return strings.Join(networks, ",")
}

// Platform is that of a container of another architecture: there are none here.
func (r *containerRow) Platform() *string { return nil }

func ago(unix int64) string {
	return units.HumanDuration(time.Since(time.Unix(unix, 0))) + " ago"
}

// portList is 0.0.0.0:80->8080/tcp, 9988/tcp; neighbouring ports become a range,
// but for published ones whose number on the host is another.
func portList(ports []api.PortSummary) string {
	slices.SortFunc(ports, func(a, b api.PortSummary) int {
		return cmp.Or(cmp.Compare(a.PrivatePort, b.PrivatePort), cmp.Compare(a.IP.String(), b.IP.String()),
			cmp.Compare(a.PublicPort, b.PublicPort), cmp.Compare(a.Type, b.Type))
	})
	type portRange struct {
		ip, kind    string
		first, last uint16
	}
	var ranges []*portRange
	var moved []string
	for _, p := range ports {
		ip := ""
		if p.IP.IsValid() {
			ip = p.IP.String()
			if p.PublicPort != p.PrivatePort {
				moved = append(moved, fmt.Sprintf("%s->%d/%s", net.JoinHostPort(ip, strconv.Itoa(int(p.PublicPort))), p.PrivatePort, p.Type))
				continue
			}
		}
		i := slices.IndexFunc(ranges, func(r *portRange) bool {
			return r.ip == ip && r.kind == p.Type && r.last+1 == p.PrivatePort
		})
		if i < 0 {
			ranges = append(ranges, &portRange{ip, p.Type, p.PrivatePort, p.PrivatePort})
		} else {
			ranges[i].last = p.PrivatePort
		}
	}
	var all []string
	for _, r := range ranges {
		text := strconv.Itoa(int(r.first))
		if r.last > r.first {
			text += "-" + strconv.Itoa(int(r.last))
		}
		if r.ip != "" {
			text = net.JoinHostPort(r.ip, text) + "->" + text
		}
		all = append(all, text+"/"+r.kind)
	}
	return strings.Join(append(all, moved...), ", ")
}
