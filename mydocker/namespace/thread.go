package namespace

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// OnThread runs f on a thread that ends with it, so f may change the thread in
// any way (setns, unshare, credentials): no other goroutine ever runs on it.
//
// It is never the process's first thread. That one cannot end before the
// process, and /proc/self shows its namespaces.
func OnThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the Go runtime ends the thread with the goroutine
		if unix.Gettid() == os.Getpid() {
			err := OnThread(f) // on another, since this one is taken
			runtime.UnlockOSThread()
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}
