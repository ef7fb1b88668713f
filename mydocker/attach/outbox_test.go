package attach

import (
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// connected gives both ends of a connection.
func connected(t *testing.T) (*net.UnixConn, *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "end")
		conn, err := net.FileConn(file) // has a descriptor of its own
		file.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = conn.(*net.UnixConn)
		t.Cleanup(func() { conn.Close() })
	}
	return ends[0], ends[1]
}

func newOutbox(t *testing.T, conn *net.UnixConn) *Outbox {
	t.Helper()
	box, err := NewOutbox(conn, t.TempDir(), true, true)
	if err != nil {
		t.Fatal(err)
	}
	return box
}

// A reader that reads nothing for a while does not keep the writer waiting, and
// in the end has everything, in order.
func TestSlowReader(t *testing.T) {
	server, client := connected(t)
	box := newOutbox(t, server)
	sent := make([]byte, 20<<20)
	rand.Read(sent)
	begun := time.Now()
	for i := 0; i < len(sent); i += 50_000 {
		if !box.Write(Stdout, sent[i:min(i+50_000, len(sent))]) {
			t.Fatal("the reader was dropped")
		}
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("the writer was kept waiting for %v", took)
	}
	box.Write(Stderr, []byte("the end"))
	closed := make(chan struct{})
	go func() {
		box.Close()
		close(closed)
	}()
	var stdout, stderr bytes.Buffer
	if err := Copy(client, &stdout, &stderr); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(stdout.Bytes(), sent) {
		t.Errorf("%d bytes arrived, %d were sent, and they differ", stdout.Len(), len(sent))
	}
	if stderr.String() != "the end" {
		t.Errorf("stderr: %q", stderr.String())
	}
	<-closed
}

// Writing goes on behind a backlog while the reader takes it.
func TestWriteWhileDraining(t *testing.T) {
	server, client := connected(t)
	box := newOutbox(t, server)
	var want bytes.Buffer
	done := make(chan error)
	var got bytes.Buffer
	go func() {
		time.Sleep(50 * time.Millisecond)
		done <- Copy(client, &got, io.Discard)
	}()
	for i := range 3000 {
		piece := bytes.Repeat([]byte{byte(i)}, i)
		want.Write(piece)
		box.Write(Stdout, piece)
	}
	box.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Errorf("%d bytes arrived in place of %d", got.Len(), want.Len())
	}
}

func TestVanishedReader(t *testing.T) {
	server, client := connected(t)
	box := newOutbox(t, server)
	client.Close()
	if box.Write(Stdout, []byte("x")) {
		t.Error("it is not noticed")
	}
	box.Close() // must not hang
}

// A backlog that waits for a reader who then goes away ends.
func TestReaderVanishesBehind(t *testing.T) {
	server, client := connected(t)
	box := newOutbox(t, server)
	for range 100 {
		box.Write(Stdout, make([]byte, 64<<10))
	}
	time.AfterFunc(20*time.Millisecond, func() { client.Close() })
	box.Close()
}

// An end without notice is the monitor's death.
func TestCopyLost(t *testing.T) {
	for _, sent := range [][]byte{nil, {Stdout, 0, 0}, {Stdout, 0, 0, 0, 0, 0, 0, 9, 'x'}} {
		if err := Copy(bytes.NewReader(sent), io.Discard, io.Discard); err != ErrLost {
			t.Errorf("after %v: %v, want ErrLost", sent, err)
		}
	}
}
