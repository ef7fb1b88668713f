package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	networkName = "mydocker-bench-net"
	serverName  = "mydocker-bench-server"
	clientName  = "mydocker-bench-client"
	serverPort  = "5201"
	roundTrips  = 5000
)

// noNetwork is of the engines that these measures leave out, and of the dockerd
// of this run, which has no bridge.
func noNetwork(e *engine) bool {
	return e.name != "mydocker" && e.name != "docker" || e.daemon != nil
}

// bridged are the flags of run without their first two, --network none.
func (e *engine) bridged(command ...string) []string {
	return slices.Concat([]string{"run"}, e.flags[2:], command)
}

// networkMeasures are of containers on bridges.
func networkMeasures(containers int) []measure {
	var port string
	list := []measure{
		{
			name: "run, bridge", skip: noNetwork, budgets: []budget{{"docker", 1. / 15}},
			sample: func(e *engine) (float64, error) {
				return timed(func() error { return e.do(e.bridged("--rm", image, "true")...) })
			},
		}, {
			name: "run, bridge, -p", skip: noNetwork, budgets: []budget{{"docker", 1. / 10}},
			setup: func(*engine) (err error) {
				port, err = freePort()
				return err
			},
			sample: func(e *engine) (float64, error) {
				return timed(func() error { return e.do(e.bridged("--rm", "-p", port+":80", image, "true")...) })
			},
		},
	}
	for _, t := range []tool{throughput, latency} {
		for _, path := range []string{"loopback", "own address", "container"} {
			list = append(list, t.measure(path))
		}
	}
	return append(list, manyOnBridge(containers))
}

// tool is a pair of programs, of one executable, that measure a TCP stream. The
// containers find the executable, and its libraries, where the host has them.
type tool struct {
	name    string
	slow    bool
	find    func() (string, error)
	server  []string // arguments
	client  func(host, port string) []string
	seconds func(output []byte) (float64, error)
}

var throughput = tool{
	name: "TCP, 2 GB", slow: true,
	find:   func() (string, error) { return exec.LookPath("iperf3") },
	server: []string{"-s", "-p", serverPort},
	client: func(host, port string) []string { return []string{"-J", "-n", "2G", "-c", host, "-p", port} },
	seconds: func(output []byte) (float64, error) {
		var r struct {
			Error string
			End   struct {
				Received struct {
					Rate float64 `json:"bits_per_second"`
				} `json:"sum_received"`
			}
		}
		if err := json.Unmarshal(output, &r); err != nil {
			return 0, err
		}
		if rate := r.End.Received.Rate; rate > 0 {
			return 2 * gigabyte * 8 / rate, nil
		}
		return 0, fmt.Errorf("iperf3 has received nothing: %s", r.Error)
	},
}

var latency = tool{
	name:   fmt.Sprintf("TCP, %d round trips", roundTrips),
	find:   os.Executable,
	server: []string{"echo", serverPort},
	client: func(host, port string) []string { return []string{"ping", host, port} },
	seconds: func(output []byte) (seconds float64, err error) {
		_, err = fmt.Sscan(string(output), &seconds)
		return seconds, err
	},
}

// measure is of a stream to a container on a user-defined network: to the port
// it publishes, by the host's loopback or its own address, or from a second
// container.
func (t tool) measure(path string) measure {
	ports := map[*engine]string{}
	sample := func(e *engine) (float64, error) {
		program, err := t.find()
		if err != nil {
			return 0, err
		}
		var out bytes.Buffer
		if path == "container" {
			err = e.output(&out, append([]string{"exec", clientName, program}, t.client(serverName, serverPort)...)...)
		} else {
			host := "127.0.0.1"
			if path != "loopback" {
				host, err = ownAddress()
			}
			if err == nil {
				cmd := exec.Command(program, t.client(host, ports[e])...)
				cmd.Stdout, cmd.Stderr = &out, os.Stderr
				err = cmd.Run()
			}
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w: %s", e.name, err, out.Bytes())
		}
		return t.seconds(out.Bytes())
	}
	return measure{
		name: t.name + ", " + path, slow: t.slow, skip: noNetwork, budgets: []budget{{"docker", 1}},
		setup: func(e *engine) (err error) {
			if ports[e], err = t.start(e); err != nil {
				return err
			}
			for range 50 { // until the server listens
				if _, err = sample(e); err == nil {
					break
				}
				time.Sleep(100 * time.Millisecond)
			}
			return err
		},
		sample: sample,
		done: func(e *engine) error {
			return errors.Join(e.do("rm", "-f", serverName, clientName), e.do("network", "rm", networkName))
		},
	}
}

// start makes the network and both containers, and returns the server's
// published port.
func (t tool) start(e *engine) (port string, err error) {
	program, err := t.find()
	if err != nil {
		return "", err
	}
	if port, err = freePort(); err != nil {
		return "", err
	}
	// iperf3 wants a directory for a temporary file, and the image has no /tmp.
	files := append(mounts(program), "-d", "--network", networkName, "-e", "TMPDIR=/")
	server := slices.Concat(files, []string{"--name", serverName, "-p", port + ":" + serverPort, image, program}, t.server)
	client := slices.Concat(files, []string{"--name", clientName, image, "sleep", "100000"})
	if err = e.do("network", "create", networkName); err == nil {
		err = e.do(e.bridged(server...)...)
	}
	if err == nil {
		err = e.do(e.bridged(client...)...)
	}
	return port, err
}

// mounts are the flags that show a program and its libraries to a container.
func mounts(program string) (flags []string) {
	out, _ := exec.Command("ldd", program).Output() // an error of a static one
	for _, path := range append(strings.Fields(string(out)), program) {
		if filepath.IsAbs(path) {
			flags = append(flags, "-v", path+":"+path+":ro")
		}
	}
	return flags
}

// manyOnBridge compares the last containers on a bridge with the first, after
// one that makes the bridge.
func manyOnBridge(containers int) measure {
	return measure{
		name: fmt.Sprintf("run -d, last of %d / first", containers), unit: "ratio", once: true,
		skip:    func(e *engine) bool { return e.name != "mydocker" }, // docker takes minutes
		budgets: []budget{{"mydocker", 1.5}},
		sample: func(e *engine) (float64, error) {
			var names []string
			var first, last float64
			ends := min(10, containers)
			for i := range containers + 1 {
				names = append(names, fmt.Sprint("mydocker-bench-bridge-", i))
				seconds, err := timed(func() error { return e.do(e.bridged("-d", "--name", names[i], image, "sleep", "100000")...) })
				if err != nil {
					return 0, err
				}
				if i > 0 && i <= ends {
					first += seconds
				}
				if i > containers-ends {
					last += seconds
				}
			}
			return last / first, e.do(append([]string{"rm", "-f"}, names...)...)
		},
	}
}

// freePort is a TCP port that nobody has at this moment.
func freePort() (string, error) {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// ownAddress is the host's towards the outside. No packet is sent.
func ownAddress() (string, error) {
	conn, err := net.Dial("udp4", "192.0.2.1:9")
	if err != nil {
		return "", fmt.Errorf("find the host's own address: %w", err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).IP.String(), nil
}

// peer is what the program is in a container, or on the host, at an end of a
// stream: `echo PORT`, or `ping HOST PORT`, which prints seconds.
func peer(args []string) error {
	switch {
	case args[0] == "echo" && len(args) == 2:
		return echo(args[1])
	case args[0] == "ping" && len(args) == 3:
		return ping(net.JoinHostPort(args[1], args[2]))
	}
	return fmt.Errorf("unknown arguments: %s", strings.Join(args, " "))
}

func echo(port string) error {
	l, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			// Of two bare connections io.Copy would make a splice(2), which is slower.
			io.Copy(struct{ io.Writer }{conn}, struct{ io.Reader }{conn})
		}()
	}
}

// ping prints the fastest of some series: whether the scheduler wakes both ends on
// one processor or on two makes a factor of three, whatever the path.
func ping(address string) error {
	fastest := math.Inf(1)
	for range 5 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		seconds, err := timed(func() error { return bounce(conn) })
		conn.Close()
		if err != nil {
			return err
		}
		fastest = min(fastest, seconds)
	}
	fmt.Println(fastest)
	return nil
}

func bounce(conn net.Conn) error {
	b := []byte{0}
	for range roundTrips {
		if _, err := conn.Write(b); err != nil {
			return err
		}
		if _, err := io.ReadFull(conn, b); err != nil {
			return err
		}
	}
	return nil
}
