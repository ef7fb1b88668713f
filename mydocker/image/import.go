package image

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/moby/moby/api/types/network"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ImportOptions are the options of Import. All may be empty.
type ImportOptions struct {
	Ref     string   // the name to give the image
	Message string   // for the history; empty: "Imported from -"
	Changes []string // Dockerfile instructions, as in docker import --change

	Platform string // os[/arch[/variant]] or arch; empty: linux on this machine's architecture
}

// Import makes an image of a root file system's tar archive, which may be
// compressed with gzip, zstd, xz or bzip2. The archive is kept as it came.
func (s *Store) Import(ctx context.Context, r io.Reader, o ImportOptions) (i *Image, err error) {
	var names []string
	if o.Ref != "" {
		names = append(names, o.Ref)
		if _, err := tagName(o.Ref); err != nil {
			return nil, err
		}
	}
	platform, err := parsePlatform(o.Platform)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	if platform.OS != "linux" {
		return nil, fmt.Errorf("import: operating system %s is not supported", platform.OS)
	}
	now := time.Now().UTC()
	config := dockerspec.DockerOCIImage{Image: ocispec.Image{
		Created:  &now,
		Platform: platform,
		History:  []ocispec.History{{Created: &now, Comment: cmp.Or(o.Message, "Imported from -")}},
	}}
	if err := Change(&config.Config, o.Changes); err != nil {
		return nil, err
	}
	err = s.adding(func() error {
		var diffID digest.Digest
		blob, err := s.writeBlob(&meter{ctx: ctx, r: r}, func(r io.Reader) (err error) {
			diffID, err = s.unpack(r, "")
			return err
		})
		if err != nil {
			return err
		}
		config.RootFS = ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{diffID}}
		configBlob, err := s.writeJSON(config)
		if err != nil {
			return err
		}
		if i, err = s.newImage(configBlob, []ocispec.Descriptor{blob}, names); err != nil {
			return err
		}
		return s.commit(i)
	})
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	return i, nil
}

func (s *Store) writeJSON(v any) (d ocispec.Descriptor, err error) {
	data, err := json.Marshal(v)
	if err != nil {
		return d, err
	}
	return s.writeBlob(bytes.NewReader(data), nil)
}

// newImage makes an image of blobs. It is not in the index yet.
func (s *Store) newImage(config ocispec.Descriptor, layers []ocispec.Descriptor, names []string) (*Image, error) {
	config.MediaType = ocispec.MediaTypeImageConfig
	manifest, err := s.writeJSON(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    config,
		Layers:    layers,
	})
	if err != nil {
		return nil, err
	}
	manifest.MediaType = ocispec.MediaTypeImageManifest
	i, err := s.open(&ocispec.Index{}, manifest)
	if err != nil {
		return nil, err
	}
	if i.Config.OS != "" && i.Config.OS != "linux" {
		return nil, fmt.Errorf("cannot load %s image on linux", i.Config.OS)
	}
	for _, name := range names {
		if name, err = tagName(name); err != nil {
			return nil, err
		}
		i.Names = append(i.Names, name)
	}
	return i, nil
}

// commit makes images part of the index, after everything reached the device. Of one
// that is there it replaces the manifest (layers compressed differently); but names
// with a digest keep theirs, and an image that has such a name, and all blobs, keeps
// it against one that has none: what was pulled can be pushed as it came.
func (s *Store) commit(images ...*Image) error {
	if err := s.sync(); err != nil {
		return err
	}
	return s.update(func(index *ocispec.Index) error {
		for _, i := range images {
			known := false
			keep := len(i.Digests) == 0
			for n, d := range index.Manifests {
				old, err := s.open(index, d)
				if err != nil || old.ID != i.ID {
					continue
				}
				known = true
				if keep && len(old.Digests) > 0 && s.whole(old) {
					i.Descriptor = old.Descriptor
				} else if !strings.Contains(nameOf(d), "@") {
					index.Manifests[n] = i.Descriptor
					index.Manifests[n].Annotations = d.Annotations
				}
			}
			if !known {
				index.Manifests = append(index.Manifests, i.Descriptor)
				if i.Parent != "" {
					index.Manifests[len(index.Manifests)-1].Annotations = map[string]string{parentKey: i.Parent.String()}
				}
			}
			for _, name := range slices.Concat(i.Names, i.Digests) {
				setName(index, i.Descriptor, name)
			}
		}
		return nil
	})
}

// whole reports whether all blobs of an image are there.
func (s *Store) whole(i *Image) bool {
	return !slices.ContainsFunc(i.blobs(), func(d digest.Digest) bool { return s.verify(d, false) != nil })
}

// Change applies those Dockerfile instructions to a config that docker import
// --change and docker commit --change take.
func Change(config *dockerspec.DockerOCIImageConfig, lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	file, err := parser.Parse(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		return err
	}
	config.Env = slices.Clone(config.Env) // the caller may share it
	c := changer{config, shell.NewLex(file.EscapeToken), false}
	for _, node := range file.AST.Children {
		switch name := strings.ToLower(node.Value); name {
		case "cmd", "entrypoint", "env", "expose", "healthcheck", "label", "onbuild", "stopsignal", "user", "volume", "workdir":
		default:
			return fmt.Errorf("%s is not a valid change command", name)
		}
		command, err := instructions.ParseCommand(node)
		if err != nil {
			return err
		}
		if err := c.apply(command); err != nil {
			return err
		}
	}
	return nil
}

type changer struct {
	*dockerspec.DockerOCIImageConfig
	lex    *shell.Lex
	cmdSet bool // CMD was among the instructions, so ENTRYPOINT leaves it
}

func (c *changer) apply(command instructions.Command) error {
	if words, ok := command.(instructions.SupportsSingleWordExpansion); ok {
		env := shell.EnvsFromSlice(c.Env) // a line sees the variables of the lines above it
		err := words.Expand(func(word string) (string, error) {
			word, _, err := c.lex.ProcessWord(word, env)
			return word, err
		})
		if err != nil {
			return err
		}
	}
	switch command := command.(type) {
	case *instructions.CmdCommand:
		c.Cmd, c.cmdSet = c.line(command.ShellDependantCmdLine), true
	case *instructions.EntrypointCommand:
		c.Entrypoint = c.line(command.ShellDependantCmdLine)
		if !c.cmdSet {
			c.Cmd = nil
		}
	case *instructions.EnvCommand:
		for _, pair := range command.Env {
			c.setEnv(pair.Key, pair.Value)
		}
	case *instructions.LabelCommand:
		for _, pair := range command.Labels {
			put(&c.Labels, pair.Key, pair.Value)
		}
	case *instructions.ExposeCommand:
		return c.expose(command.Ports)
	case *instructions.VolumeCommand:
		for _, volume := range command.Volumes {
			put(&c.Volumes, volume, struct{}{})
		}
	case *instructions.WorkdirCommand:
		if !path.IsAbs(command.Path) {
			command.Path = path.Join("/", c.WorkingDir, command.Path)
		}
		c.WorkingDir = path.Clean(command.Path)
	case *instructions.UserCommand:
		c.User = command.User
	case *instructions.StopSignalCommand:
		c.StopSignal = command.Signal
	case *instructions.HealthCheckCommand:
		c.Healthcheck = command.Health
	case *instructions.OnbuildCommand:
		c.OnBuild = append(c.OnBuild, command.Expression)
	}
	return nil
}

// line is a JSON list as it stands, or any other text for the shell.
func (c *changer) line(command instructions.ShellDependantCmdLine) []string {
	if !command.PrependShell {
		return command.CmdLine
	}
	if len(c.Shell) > 0 {
		return slices.Concat(c.Shell, command.CmdLine)
	}
	return slices.Concat([]string{"/bin/sh", "-c"}, command.CmdLine)
}

func (c *changer) setEnv(key, value string) {
	at := slices.IndexFunc(c.Env, func(pair string) bool { return strings.HasPrefix(pair, key+"=") })
	if at < 0 {
		c.Env = append(c.Env, key+"="+value)
	} else {
		c.Env[at] = key + "=" + value
	}
}

func (c *changer) expose(ports []string) error {
	words, err := c.lex.ProcessWords(strings.Join(ports, " "), shell.EnvsFromSlice(c.Env))
	if err != nil {
		return err
	}
	for _, word := range words {
		ports, err := network.ParsePortRange(word)
		if err != nil || !slices.Contains([]network.IPProtocol{network.TCP, network.UDP, network.SCTP}, ports.Proto()) {
			return fmt.Errorf("invalid containerPort: %s", word)
		}
		for port := range ports.All() {
			put(&c.ExposedPorts, port.String(), struct{}{})
		}
	}
	return nil
}

// put sets a key of a map that may not exist yet.
func put[V any](m *map[string]V, key string, value V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = value
}
