package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// daemon is a dockerd of this run.
type daemon struct {
	cmd  *exec.Cmd
	done chan error
	dir  string
}

// needDaemon finds the docker daemon that answers, or starts one with
// directories and a socket of its own, and no network.
func needDaemon(ctx context.Context, e *engine, dir string) (*daemon, error) {
	if e.do("version") == nil {
		return nil, nil
	}
	if _, err := exec.LookPath("dockerd"); err != nil {
		return nil, fmt.Errorf("no daemon answers: %w", err)
	}
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, err
	}
	log, err := os.Create(dir + "/log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	socket := "unix://" + dir + "/sock"
	cmd := exec.Command("dockerd", "--data-root", dir+"/data", "--exec-root", dir+"/exec", "--pidfile", dir+"/pid", "--host", socket,
		"--bridge", "none", "--iptables=false", "--ip6tables=false")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	d := &daemon{cmd, make(chan error, 1), dir}
	go func() { d.done <- cmd.Wait() }()
	e.env = append(e.env, "DOCKER_HOST="+socket)
	deadline := time.After(60 * time.Second)
	for e.do("version") != nil {
		select {
		case <-time.After(50 * time.Millisecond):
			continue
		case <-ctx.Done():
			err = ctx.Err()
		case err = <-d.done:
			d.done <- err
			err = fmt.Errorf("dockerd has ended: %w", err)
		case <-deadline:
			err = fmt.Errorf("dockerd does not answer")
		}
		text, _ := os.ReadFile(dir + "/log")
		d.stop()
		return nil, fmt.Errorf("%w: %s", err, text[max(0, len(text)-500):])
	}
	return d, nil
}

func (d *daemon) stop() error {
	d.cmd.Process.Signal(unix.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(30 * time.Second):
		d.cmd.Process.Kill()
		<-d.done
		return fmt.Errorf("dockerd did not end on SIGTERM")
	}
	return nil
}
