package e2e

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// value follows a path like State.Pid or Mounts.0.Source.
func value(object any, path string) any {
	for key := range strings.SplitSeq(path, ".") {
		switch o := object.(type) {
		case map[string]any:
			object = o[key]
		case []any:
			if len(o) == 0 {
				return nil
			}
			object = o[len(key)-1] // "0" only
		default:
			return nil
		}
	}
	return object
}

func inspectAll(h *host, args ...string) (list []map[string]any) {
	h.t.Helper()
	out := h.ok(append([]string{"inspect"}, args...)...)
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		h.t.Fatalf("%v: %s", err, out)
	}
	return list
}

func TestInspectContainer(t *testing.T) {
	h := newHost(t)
	dir := h.dir("data")
	id := h.ok("run", "-d", "--name", "c1", "-e", "A=b", "-h", "host1", "-w", "/tmp", "-u", "1000:1000", "-l", "x=y", "--stop-timeout", "3", "--stop-signal", "QUIT",
		"-m", "64m", "--cpus", "0.5", "--cap-add", "SYS_ADMIN", "--cap-drop", "all", "--ulimit", "nofile=100:200", "--tmpfs", "/t:size=1m", "-v", dir+":/mnt:ro",
		"--mount", "type=tmpfs,target=/t2", "--sysctl", "kernel.msgmax=100", "--pids-limit", "50", "--read-only", "--shm-size", "1m", "--group-add", "5",
		"--entrypoint", "sleep", "busybox", "1000000")
	image := h.ok("inspect", "-f", "{{.Id}}", "--type", "image", "busybox")
	c := inspectAll(h, "c1")[0]
	for path, want := range map[string]any{
		"Id": id, "Name": "/c1", "Path": "sleep", "Args.0": "1000000", "Image": image, "RestartCount": 0.0, "Driver": "overlay2", "Platform": "linux", "ExecIDs": nil,
		"State.Status": "running", "State.Running": true, "State.Paused": false, "State.Restarting": false, "State.OOMKilled": false, "State.Dead": false,
		"State.ExitCode": 0.0, "State.Error": "", "State.FinishedAt": "0001-01-01T00:00:00Z",
		"HostnamePath": h.root + "/containers/" + id + "/hostname", "LogPath": h.root + "/containers/" + id + "/" + id + "-json.log",
		"HostsPath": h.root + "/containers/" + id + "/hosts", "ResolvConfPath": h.root + "/containers/" + id + "/resolv.conf",
		"HostConfig.Binds.0": dir + ":/mnt:ro", "HostConfig.LogConfig.Type": "json-file", "HostConfig.NetworkMode": "bridge", "HostConfig.RestartPolicy.Name": "no",
		"HostConfig.AutoRemove": false, "HostConfig.CapAdd.0": "CAP_SYS_ADMIN", "HostConfig.CapDrop.0": "ALL", "HostConfig.GroupAdd.0": "5", "HostConfig.IpcMode": "private",
		"HostConfig.Privileged": false, "HostConfig.ReadonlyRootfs": true, "HostConfig.Tmpfs./t": "size=1m", "HostConfig.ShmSize": 1048576.0,
		"HostConfig.Memory": 67108864.0, "HostConfig.MemorySwap": 134217728.0, "HostConfig.NanoCpus": 5e8, "HostConfig.PidsLimit": 50.0,
		"HostConfig.Ulimits.0.Name": "nofile", "HostConfig.Ulimits.0.Hard": 200.0, "HostConfig.Ulimits.0.Soft": 100.0,
		"HostConfig.Mounts.0.Type": "tmpfs", "HostConfig.Mounts.0.Target": "/t2", "HostConfig.ReadonlyPaths.0": "/proc/bus", "HostConfig.MaskedPaths.0": "/proc/asound",
		"GraphDriver.Name": "overlay2",
		"Mounts.0.Type":    "bind", "Mounts.0.Source": dir, "Mounts.0.Destination": "/mnt", "Mounts.0.Mode": "ro", "Mounts.0.RW": false, "Mounts.0.Propagation": "rprivate",
		"Config.Hostname": "host1", "Config.Domainname": "", "Config.User": "1000:1000", "Config.AttachStdin": false, "Config.AttachStdout": false, "Config.Tty": false,
		"Config.OpenStdin": false, "Config.StdinOnce": false, "Config.Env.0": "A=b", "Config.Cmd.0": "1000000", "Config.Image": "busybox", "Config.WorkingDir": "/tmp",
		"Config.Entrypoint.0": "sleep", "Config.Labels.x": "y", "Config.StopTimeout": 3.0, "Config.StopSignal": "QUIT", "NetworkSettings.Networks.bridge.IPPrefixLen": 16.0,
	} {
		// The sysctl's name has dots: below.
		if got := value(c, path); !cmp.Equal(got, want) {
			t.Errorf("%s is %#v, want %#v", path, got, want)
		}
	}
	equal(t, "sysctl", h.inspect("c1", `{{index .HostConfig.Sysctls "kernel.msgmax"}}`), "100")
	const moment = `^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`
	for _, path := range []string{"Created", "State.StartedAt"} {
		if text, _ := value(c, path).(string); !regexp.MustCompile(moment).MatchString(text) {
			t.Errorf("%s is %q", path, text)
		}
	}
	equal(t, "the process", strings.ReplaceAll(read(t, "/proc/"+h.pid("c1")+"/cmdline"), "\x00", " "), "sleep 1000000 ")
	if upper := h.inspect("c1", "{{.GraphDriver.Data.UpperDir}}"); !onHost(upper) {
		t.Errorf("no upper directory %q", upper)
	}

	h.ok("kill", "c1")
	h.becomes("c1", "exited")
	equal(t, "after", h.inspect("c1", "{{.State.Running}} {{.State.Pid}} {{.State.ExitCode}}"), "false 0 137")
	if at := h.inspect("c1", "{{.State.FinishedAt}}"); !regexp.MustCompile(moment).MatchString(at) || at < h.inspect("c1", "{{.State.StartedAt}}") {
		t.Errorf("finished at %s", at)
	}
}

func TestInspectFormat(t *testing.T) {
	h := newHost(t)
	h.ok("create", "--name", "c1", "-e", "A=1", "-l", "k=v", "busybox", "true")
	h.ok("create", "--name", "c2", "-it", "busybox", "false")
	for format, want := range map[string]string{
		"{{.Name}}":                                    "/c1\n/c2",
		"{{json .Config.Cmd}}":                         "[\"true\"]\n[\"false\"]",
		"{{.Config.Tty}},{{.Config.OpenStdin}}":        "false,false\ntrue,true",
		"{{range .Config.Env}}{{println .}}{{end}}end": "A=1\nend\nend",
		"{{with .State}}{{.Status}}{{end}}":            "created\ncreated",
		"{{index .Config.Labels \"k\"}}.":              "v.\n.",
		"{{.State.Nope}}":                              "",
	} {
		if format == "{{.State.Nope}}" {
			h.fails(1, []string{"template parsing error: template: :1:8", "Nope"}, "inspect", "-f", format, "c1")
			continue
		}
		equal(t, format, h.ok("inspect", "-f", format, "c1", "c2"), want)
	}
	h.fails(64, []string{"template parsing error: template: :1: unclosed action"}, "inspect", "-f", "{{", "c1")
	r := h.fails(1, []string{"No such object: nope"}, "inspect", "-f", "{{.Name}}", "c1", "nope", "c2")
	equal(t, "stdout", r.out, "/c1\n/c2\n")
	r = h.fails(1, []string{"No such object: nope"}, "inspect", "nope")
	equal(t, "stdout", r.out, "[]\n")
	r = h.fails(1, []string{`unknown type: "foo": must be one of "container", "image"`}, "inspect", "--type", "foo", "c1")
	equal(t, "stdout", r.out, "")
	h.fails(1, []string{"does not match the specified platform: wanted linux/s390x"}, "image", "inspect", "--platform", "linux/s390x", "busybox")
	r = h.try("inspect", "--format", "json", "c1")
	if !strings.HasPrefix(r.out, `[{"Id":`) && !strings.HasPrefix(r.out, `{"Id":`) || strings.Count(r.out, "\n") != 1 {
		t.Errorf("json: %s", r)
	}
	h.fails(1, []string{"No such image: c1"}, "inspect", "--type", "image", "c1")
	h.fails(1, []string{"No such container: busybox"}, "container", "inspect", "busybox")
	equal(t, "size", h.ok("inspect", "-s", "-f", "{{.SizeRw}}", "c1"), "0")
	equal(t, "two kinds", h.ok("inspect", "-f", "{{.Id}}", "c1", "busybox"), h.inspect("c1", "{{.Id}}")+"\n"+h.ok("image", "inspect", "-f", "{{.Id}}", "busybox"))
}

func TestInspectImage(t *testing.T) {
	h := emptyHost(t)
	t.Parallel()
	id := h.ok("import", "-m", "a message", "-c", `CMD ["sh", "-c"]`, "-c", "ENTRYPOINT /bin/echo x", "-c", "ENV A=b C=d", "-c", "WORKDIR /tmp", "-c", "USER 1000", "-c", "EXPOSE 80 53/udp",
		"-c", "VOLUME /data", "-c", "LABEL x=y", "-c", "STOPSIGNAL SIGINT", busybox, "reg.example:5000/a/b:v1")
	i := inspectAll(h, "reg.example:5000/a/b:v1")[0]
	for path, want := range map[string]any{
		"Id": id, "RepoTags.0": "reg.example:5000/a/b:v1", "Comment": "a message", "Architecture": value(i, "Architecture"), "Os": "linux",
		"Config.Env.0": "A=b", "Config.WorkingDir": "/tmp", "Config.User": "1000", "Config.Labels.x": "y", "Config.StopSignal": "SIGINT",
		"Config.ExposedPorts": map[string]any{"80/tcp": map[string]any{}, "53/udp": map[string]any{}}, "Config.Volumes": map[string]any{"/data": map[string]any{}},
		"Config.Cmd": []any{"sh", "-c"}, "Config.Entrypoint": []any{"/bin/sh", "-c", "/bin/echo x"}, "RootFS.Type": "layers",
	} {
		if got := value(i, path); !cmp.Equal(got, want) {
			t.Errorf("%s is %#v, want %#v", path, got, want)
		}
	}
	if layers, _ := value(i, "RootFS.Layers").([]any); len(layers) != 1 || !strings.HasPrefix(layers[0].(string), "sha256:") {
		t.Errorf("layers: %v", layers)
	}
	if size, _ := value(i, "Size").(float64); size < 1e6 || size > 1e8 {
		t.Errorf("size: %v", size)
	}
	for _, ref := range []string{id, id[7:], id[7:19], "reg.example:5000/a/b:v1"} {
		equal(t, ref, h.ok("image", "inspect", "-f", "{{.Id}}", ref), id)
	}
	h.fails(1, []string{"No such image: reg.example:5000/a/b"}, "image", "inspect", "reg.example:5000/a/b")
}
