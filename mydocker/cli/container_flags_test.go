package cli

import (
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

// parseCreate takes a command line of create as far as the request to the engine.
func parseCreate(args []string) (*containerOptions, error) {
	o := &containerOptions{}
	c := &command{Name: "create", Flags: o.flags()}
	words, _, err := parse(c, args, false)
	if err == nil {
		err = o.request(words)
	}
	return o, err
}

// TestLikeDocker compares with what Docker's command line 28.2 sent to an engine
// for the same arguments. testdata/docker-create.json holds what differs from the
// request for `docker create busybox`, $PWD being the directory it ran in.
func TestLikeDocker(t *testing.T) {
	t.Setenv("HOME", "/home/x")
	directory, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	recorded, err := os.ReadFile("testdata/docker-create.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Args         []string
		Config, Host json.RawMessage
		Networks     map[string]*network.EndpointSettings
		Error        string
	}
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(recorded), "$PWD", directory)), &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 50 {
		t.Fatalf("%d cases", len(cases))
	}
	for _, test := range cases {
		t.Run(strings.Join(test.Args, " "), func(t *testing.T) {
			o, err := parseCreate(test.Args)
			if test.Error != "" {
				if err == nil {
					t.Fatalf("no error; docker says %s", test.Error)
				}
				if first, _, _ := strings.Cut(err.Error(), "\n"); strings.TrimPrefix(first, "mydocker: ") != test.Error {
					t.Errorf("error %q, docker's %q", first, test.Error)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wantConfig := &api.Config{AttachStdout: true, AttachStderr: true, Image: "busybox", Labels: map[string]string{}}
			wantHost := &api.HostConfig{
				NetworkMode: "default", RestartPolicy: api.RestartPolicy{Name: "no"},
			}
			decode(t, test.Config, wantConfig)
			decode(t, test.Host, wantHost)
			empty := cmpopts.EquateEmpty() // Docker's engine makes one of the two of them
			if diff := cmp.Diff(wantConfig, &o.config, empty, cmpopts.EquateComparable()); diff != "" {
				t.Errorf("Config (-docker +mydocker):\n%s", diff)
			}
			if diff := cmp.Diff(wantHost, &o.host, empty, cmpopts.EquateComparable(netip.Addr{}, network.Port{})); diff != "" {
				t.Errorf("HostConfig (-docker +mydocker):\n%s", diff)
			}
			if diff := cmp.Diff(test.Networks, o.endpoints, empty, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Errorf("NetworkingConfig (-docker +mydocker):\n%s", diff)
			}
		})
	}
}

func decode(t *testing.T, data json.RawMessage, into any) {
	t.Helper()
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

func TestCreateRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"-l =x busybox": "empty name",
		"--mount type=bind,src=/a,dst=/b,bind-recursive=x busybox": `invalid value for bind-recursive: x (must be "enabled", "disabled", "writable", or "readonly")`,
		"--mount type=bind,src=/a busybox":                         "target is required",
		"--restart on-failure:x busybox":                           "maximum retry count must be an integer",
		"--restart :3 busybox":                                     "no policy provided before colon",
		"--rm --restart always busybox":                            "cannot specify both --restart and --rm",
		"--pull sometimes busybox":                                 "invalid pull option: 'sometimes'",
		"--memory-swappiness 101 busybox":                          "Valid memory swappiness range is 0-100",
		"--log-driver none --log-opt max-size=1m busybox":          "invalid logging opts for driver none",
		"--link db busybox":                                        "see --network",
		"--health-timeout -1s busybox":                             "--health-timeout cannot be negative",
		"--no-healthcheck --health-retries 2 busybox":              "--no-healthcheck conflicts with --health-* options",
		"--link-local-ip 169.254.0.1 busybox":                      "flag --link-local-ip is not supported",
		"--network name=a,link-local-ip=169.254.0.1 busybox":       "link-local-ip is not supported",
		"--ip x busybox":                                           `invalid argument "x" for "--ip" flag: IP address is not correctly formatted: x`,
		"--network name=a,ip6=x busybox":                           "IP address is not correctly formatted: x",
		"--dns fe80::1%eth0 busybox":                               "IP address is not correctly formatted: fe80::1%eth0",
		"--add-host a:fe80::1%eth0 busybox":                        "invalid IP address in add-host",
		"--gpus all busybox":                                       "flag --gpus is not supported",
		"--disable-content-trust=false busybox":                    "cannot be verified",
		"--security-opt seccomp=testdata/env.list busybox":         "compacting json",
		"--mount type=bind,src=/a,dst=/b,volume-nocopy=1 busybox":  "cannot mix 'volume-*' options with mount type 'bind'",
	} {
		_, err := parseCreate(strings.Fields(args))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("create %s: error %v, want %q", args, err, want)
		}
	}
}

func TestUsageErrorStatus(t *testing.T) {
	for _, args := range []string{"--foo x", "-m x y", "-m", "--runtime x y"} {
		_, err := parseCreate(strings.Fields(args))
		var own *exitError
		if !errors.As(err, &own) || own.code != 125 {
			t.Errorf("create %s: %v, want exit status 125", args, err)
		}
	}
}
