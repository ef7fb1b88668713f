package oci

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"minidocker/mydocker/runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A service manager tells by NOTIFY_SOCKET where it wants to hear that a service is ready
// (sd_notify(3)). The container cannot reach that, and systemd hears only what comes from
// the service's own cgroup: so a socket in the container's state is shown to it, and its
// word is passed on with the number of the process to watch.
const (
	notifyVariable = "NOTIFY_SOCKET"
	notifyDir      = "notify"
	notifyFile     = "notify.sock"
)

// offerSocket shows the container a directory, for the socket that start makes in it.
func (n *creation) offerSocket() error {
	if os.Getenv(notifyVariable) == "" {
		return nil
	}
	const inside = "/run/notify" // runc's
	n.spec.Mounts = append(n.spec.Mounts, specs.Mount{Destination: inside, Type: "bind", Source: filepath.Join(n.dir, notifyDir),
		Options: []string{"bind", "nosuid", "noexec", "nodev", "ro"}})
	n.spec.Process.Env = append(n.spec.Process.Env, notifyVariable+"="+inside+"/"+notifyFile)
	return os.Mkdir(filepath.Join(n.dir, notifyDir), 0o755)
}

// listen makes the socket, before the program is let go. nil: nobody wants to hear.
func (c *container) listen() (*net.UnixConn, error) {
	dir := filepath.Join(c.dir, notifyDir)
	if _, err := os.Stat(dir); err != nil || os.Getenv(notifyVariable) == "" {
		return nil, nil
	}
	address := &net.UnixAddr{Name: filepath.Join(dir, notifyFile), Net: "unixgram"}
	socket, err := net.ListenUnixgram(address.Net, address)
	if err == nil {
		err = os.Chmod(address.Name, 0o777)
	}
	return socket, err
}

// passReady waits for the container to say that it is ready, or to end, and passes it on;
// main is the process the service manager is to watch.
func passReady(socket *net.UnixConn, p *runtime.Process, main int) error {
	go func() {
		p.DoneWithin(-1)
		socket.Close()
	}()
	for buffer := make([]byte, 4096); ; {
		n, err := socket.Read(buffer)
		if err != nil {
			return nil // it has ended
		}
		for line := range bytes.Lines(buffer[:n]) {
			if !bytes.HasPrefix(line, []byte("READY=")) {
				continue
			}
			manager, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: os.Getenv(notifyVariable), Net: "unixgram"})
			if err == nil {
				defer manager.Close()
				_, err = fmt.Fprintf(manager, "%s\nMAINPID=%d\n", bytes.TrimSpace(line), main)
			}
			return err
		}
	}
}
