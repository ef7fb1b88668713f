package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// --volumes-from takes over what another container has mounted, also what that has
// from a third; the donors need not run, nor be there later.
func TestVolumesFrom(t *testing.T) {
	h := newHost(t)
	data, more := h.dir("data"), h.dir("more")
	h.ok("create", "--name", "donor", "-v", data+":/data", "-v", more+":/more:ro", "busybox")
	equal(t, "read", h.ok("run", "--rm", "--volumes-from", "donor", "busybox", "cat", "/data/f", "/more/f"), "of the host\nof the host")
	h.ok("run", "--rm", "--volumes-from", "donor", "busybox", "touch", "/data/new")
	for _, mode := range []string{":ro", ""} {
		target := map[string]string{":ro": "/data/no", "": "/more/no"}[mode] // what is read-only stays it
		h.fails(1, []string{"Read-only file system"}, "run", "--rm", "--volumes-from", "donor"+mode, "busybox", "touch", target)
	}
	h.ok("create", "--name", "heir", "--volumes-from", "donor:ro", "-v", more+":/data", "busybox", "ls", "/data")
	equal(t, "the own one wins", h.inspect("heir", "{{range .Mounts}}{{.Destination}} {{.Source}} {{.RW}}\n{{end}}"),
		"/data "+more+" true\n/more "+more+" false\n")
	equal(t, "as given", h.inspect("heir", "{{json .HostConfig.VolumesFrom}}"), `["donor:ro"]`)
	h.ok("rm", "donor")
	equal(t, "second hand", h.ok("run", "--rm", "--volumes-from", "heir", "busybox", "ls", "/more"), "f")
	equal(t, "after the donor", h.ok("start", "-a", "heir"), "f")
	h.fails(1, []string{"No such container: nobody"}, "create", "--volumes-from", "nobody", "busybox")
	h.fails(1, []string{"invalid mode: wo"}, "create", "--volumes-from", "heir:wo", "busybox")
}

// What the options of the log name is in each entry, as Docker's json-file has it.
func TestLogOptions(t *testing.T) {
	h := newHost(t)
	h.ok("run", "--name", "c1", "-l", "role=web", "-l", "team=a", "-e", "ZONE=x", "-e", "ZEBRA=y",
		"--log-opt", "labels=role", "--log-opt", "env-regex=^ZO", "--log-opt", "tag={{.Name}}/{{.ImageName}}", "busybox", "echo", "hi")
	line := regexp.MustCompile(`"time":"[^"]*"`).ReplaceAllString(read(t, h.inspect("c1", "{{.LogPath}}")), "T")
	equal(t, "entry", line, `{"log":"hi\n","stream":"stdout","attrs":{"ZONE":"x","role":"web","tag":"c1/busybox"},T}`+"\n")
	equal(t, "--details", h.ok("logs", "--details", "c1"), "ZONE=x,role=web,tag=c1%2Fbusybox hi")

	h.ok("run", "--name", "c2", "--log-opt", "max-size=10k", "--log-opt", "max-file=2", "busybox", "seq", "2000")
	files, _ := filepath.Glob(h.inspect("c2", "{{.LogPath}}") + "*")
	total := int64(0)
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if len(files) != 2 || total > 20_000 {
		t.Errorf("%v have %d bytes", files, total)
	}

	h.ok("run", "--name", "c3", "--log-driver", "none", "busybox", "echo", "hi")
	h.fails(1, []string{"configured logging driver does not support reading"}, "logs", "c3")
	for opt, words := range map[string]string{
		"nonsense=1": "unknown log opt 'nonsense' for json-file log driver", "max-file=0": "max-file cannot be less than 1",
		"max-size=much": "invalid size: 'much'", "compress=true": "compress=true is not supported", "mode=non-blocking": "mode=non-blocking is not supported",
		"compress=much": "invalid syntax", "mode=fast": "logger: logging mode not supported: fast",
		"max-buffer-size=1m": "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
	} {
		h.fails(1, []string{words}, "create", "--log-opt", opt, "busybox")
	}
	h.fails(1, []string{`error looking up logging plugin syslog: plugin "syslog" not found`}, "create", "--log-driver", "syslog", "busybox")
}

func TestPolicyFlags(t *testing.T) {
	h := newHost(t)
	h.write(filepath.Dir(h.root)+"/labels", "# comment\na=file\nb=file\n")
	h.ok("create", "--name", "c1", "--label-file", filepath.Dir(h.root)+"/labels", "-l", "b=flag", "--annotation", "k=v",
		"--restart", "on-failure:3", "--health-cmd", "test -e /ok", "--health-interval", "2s", "--health-retries", "5",
		"--memory-reservation", "8m", "--memory-swappiness", "7", "--cpu-period", "50000", "--cpu-quota", "25000", "--cpuset-mems", "0",
		"--domainname", "example.org", "--platform", "linux/"+h.ok("info", "--format", "{{.Architecture}}"), "busybox")
	for template, want := range map[string]string{
		"{{json .Config.Labels}}":                                  `{"a":"file","b":"flag"}`,
		"{{json .HostConfig.Annotations}}":                         `{"k":"v"}`,
		"{{json .HostConfig.RestartPolicy}}":                       `{"Name":"on-failure","MaximumRetryCount":3}`,
		"{{json .Config.Healthcheck}}":                             `{"Test":["CMD-SHELL","test -e /ok"],"Interval":2000000000,"Retries":5}`,
		"{{.HostConfig.MemoryReservation}} {{.Config.Domainname}}": "8388608 example.org",
		"{{.HostConfig.CpuPeriod}} {{.HostConfig.CpuQuota}}":       "50000 25000",
		"{{.HostConfig.CpusetMems}}":                               "0",
	} {
		equal(t, template, h.inspect("c1", template), want)
	}
	swappiness := map[string]string{"1": "7", "2": "null"}[h.ok("info", "--format", "{{.CgroupVersion}}")] // version 2 has none
	equal(t, "swappiness", h.inspect("c1", "{{json .HostConfig.MemorySwappiness}}"), swappiness)
	h.fails(1, []string{"does not match the specified platform: wanted linux/s390x, actual: linux/"}, "create", "--pull", "never", "--platform", "s390x", "busybox")
	h.fails(1, []string{"Requested memory nodes are not available - requested 4000, available: 0"}, "create", "--cpuset-mems", "4000", "busybox")
	r := h.fails(125, []string{"No such image: absent:latest"}, "run", "--pull", "never", "absent")
	if strings.Contains(r.err, "Unable to find") {
		t.Error(r)
	}
	h.fails(125, []string{"Interval in Healthcheck cannot be less than 1ms"}, "run", "--health-cmd", "x", "--health-interval", "1us", "busybox")
}
