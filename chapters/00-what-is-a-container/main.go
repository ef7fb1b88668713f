// Stage 0 runs a command as what every container is at bottom: a process, whose
// words, signals and exit status pass through unharmed. It isolates nothing.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
)

// program is what messages begin with: step0, if that is what it was built as.
var program = filepath.Base(os.Args[0])

// options are what the command line says.
type options struct {
	Command []string
}

func main() {
	o, err := parse(os.Args[1:])
	status := 125 // Docker's for an error of the engine itself
	if err == nil {
		fmt.Fprintf(os.Stderr, "%s: for learning: no security boundary\n", program)
		status, err = run(o)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", program, err)
	}
	os.Exit(status)
}

// parse reads "run COMMAND [ARGUMENT...]".
func parse(args []string) (o options, err error) {
	if len(args) == 0 || args[0] != "run" {
		return o, fmt.Errorf("usage: %s run COMMAND [ARGUMENT...]", program)
	}
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error is enough
	if err := flags.Parse(args[1:]); err != nil {
		return o, err
	}
	if o.Command = flags.Args(); len(o.Command) == 0 {
		return o, errors.New("run: no command")
	}
	return o, nil
}

// run starts the command, waits for it and gives its exit status.
func run(o options) (int, error) {
	command := exec.Command(o.Command[0], o.Command[1:]...) // a vector of words: no shell reads them again
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	signals := catchSignals() // before the command is there: none of them may end us and leave it
	if err := command.Start(); err != nil {
		return startStatus(err), err
	}
	go passOn(signals, command.Process)
	command.Wait() // its error says no more than the status
	return exitStatus(command.ProcessState), nil
}

func catchSignals() chan os.Signal {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	return signals
}

func passOn(signals chan os.Signal, process *os.Process) {
	for s := range signals {
		process.Signal(s)
	}
}

// exitStatus is the command's, or as in a shell 128 and the number of the signal
// that killed it.
func exitStatus(state *os.ProcessState) int {
	if ended := state.Sys().(syscall.WaitStatus); ended.Signaled() {
		return 128 + int(ended.Signal())
	}
	return state.ExitCode()
}

// startStatus is the exit status for a command that could not be started, as
// Docker and the shell have it.
func startStatus(err error) int {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return 127
	}
	return 126
}
