package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"text/template"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"minidocker/mydocker/engine"
	"minidocker/mydocker/image"
)

type inspectOptions struct {
	format, kind string // kind is container, image, network, volume or "": what there is
	platform     string // that an image must have; "": any
	size         bool
}

// inspectCommand is inspect (kind ""), container inspect, image inspect, network inspect or volume inspect.
func inspectCommand(kind string) func(*session) *command {
	return func(s *session) *command {
		o := &inspectOptions{kind: kind}
		c := &command{
			Usage: "Display detailed information on one or more " + kind + "s", ArgsUsage: "[OPTIONS] NAME|ID [NAME|ID...]",
			Description: "mydocker inspect -f '{{json .Config.Cmd}}' web",
			Flags: flags("",
				text(&o.format, "f,format", "Format output using a custom template: 'json' or a Go TEMPLATE"),
				boolean(&o.size, "s,size", "Display total file sizes if the type is container"),
				text(&o.kind, "type", "Only inspect objects of the given type"),
			),
			Action: s.action(func(e *engine.Engine, refs []string) error {
				return o.run(os.Stdout, refs, func(ref string) (any, error) { return o.find(e, ref) })
			}),
		}
		if kind == "" {
			c.Usage = "Return low-level information on containers, images, networks and volumes"
		} else {
			object := strings.ToUpper(kind)
			c.Flags = c.Flags[:2]
			switch kind {
			case "image":
				c.Description = "mydocker image inspect -f '{{json .Config.Env}}' busybox"
				c.Flags[1] = text(&o.platform, "platform", `Inspect the given platform variant, such as "linux/amd64"`)
			case "network":
				c.Description = "mydocker network inspect -f '{{json .IPAM.Config}}' bridge"
				c.Flags[1] = boolean(new(bool), "v,verbose", "Verbose output for diagnostics") // of swarm networks
			case "volume":
				c.Description, c.Flags = "mydocker volume inspect -f '{{.Mountpoint}}' data", c.Flags[:1]
			}
			c.ArgsUsage = "[OPTIONS] " + object + " [" + object + "...]"
		}
		return c
	}
}

// find looks among the containers first, then among the images, the networks and the volumes.
func (o *inspectOptions) find(e *engine.Engine, ref string) (any, error) {
	if o.kind == "" || o.kind == "container" {
		container, err := e.Inspect(ref, o.size)
		if o.kind != "" || !isNotFound(err) {
			return shownContainer{container, shownNetworks(container.NetworkSettings)}, err
		}
	}
	if o.kind == "" || o.kind == "image" {
		found, err := e.InspectImage(ref, o.platform)
		if o.kind != "" || !isNoImage(err) && !errors.Is(err, image.ErrInvalid) {
			return found, err
		}
	}
	if o.kind == "" || o.kind == "network" {
		found, err := e.NetworkInspect(ref)
		if o.kind != "" || !isNoNetwork(err) {
			return found, err
		}
	}
	found, err := e.InspectVolume(ref)
	if o.kind == "" && errors.As(err, new(*engine.VolumeNotFoundError)) {
		return nil, fmt.Errorf("No such object: %s", ref)
	}
	return found, err
}

// run prints what can be found and reports the rest.
func (o *inspectOptions) run(w io.Writer, refs []string, find func(ref string) (any, error)) error {
	if !slices.Contains([]string{"", "container", "image", "network", "volume"}, o.kind) {
		return exit(1, `unknown type: %q: must be one of "container", "image", "network", "volume"`, o.kind)
	}
	text, err := parseTemplate(o.format)
	if err != nil {
		return err
	}
	asJSON := o.format == "" || o.format == "json"
	found := []any{}
	var lines bytes.Buffer
	var errs []error
	for _, ref := range refs {
		object, err := find(ref)
		if err == nil && !asJSON {
			err = inspectLine(&lines, text, object)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		found = append(found, object)
	}
	if asJSON {
		encoder := json.NewEncoder(&lines)
		encoder.SetEscapeHTML(false)
		if o.format == "" {
			encoder.SetIndent("", "    ")
		}
		errs = append(errs, encoder.Encode(found))
	} else if lines.Len() == 0 {
		lines.WriteByte('\n')
	}
	lines.WriteTo(w)
	return errors.Join(errs...)
}

// inspectLine executes the template on the object; if that has no such field, on its JSON,
// for people use the names they see there: {{.Id}} for .ID. So it does where the object has an
// address that is none, which JSON writes as "".
func inspectLine(w io.Writer, text *template.Template, object any) error {
	var line bytes.Buffer
	if text.Execute(&line, object) == nil && !bytes.Contains(line.Bytes(), []byte("invalid ")) {
		return printTemplate(w, text, object)
	}
	encoded, err := json.Marshal(object)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.UseNumber() // 64-bit integers must not become floats
	var raw any
	if err := decoder.Decode(&raw); err != nil {
		return err
	}
	if fields, ok := raw.(map[string]any); ok && fields["ID"] == nil {
		fields["ID"] = fields["Id"] // both are written
	}
	return printTemplate(w, text.Option("missingkey=error"), raw)
}

// shownContainer is a container as Docker 28 shows it: newer types of the API lack the
// addresses in the default network, which scripts read at .NetworkSettings.IPAddress.
type shownContainer struct {
	engine.Inspection
	NetworkSettings *networkSettings
}

type networkSettings struct {
	*api.NetworkSettings
	EndpointID          string
	Gateway             netip.Addr
	GlobalIPv6Address   netip.Addr
	GlobalIPv6PrefixLen int
	IPAddress           netip.Addr
	IPPrefixLen         int
	IPv6Gateway         netip.Addr
	MacAddress          network.HardwareAddr
}

func shownNetworks(s *api.NetworkSettings) *networkSettings {
	if s == nil {
		return nil
	}
	shown := &networkSettings{NetworkSettings: s}
	if b := s.Networks[network.NetworkBridge]; b != nil {
		shown.EndpointID, shown.MacAddress = b.EndpointID, b.MacAddress
		shown.Gateway, shown.IPAddress, shown.IPPrefixLen = b.Gateway, b.IPAddress, b.IPPrefixLen
		shown.IPv6Gateway, shown.GlobalIPv6Address, shown.GlobalIPv6PrefixLen = b.IPv6Gateway, b.GlobalIPv6Address, b.GlobalIPv6PrefixLen
	}
	return shown
}
