package namespace

import (
	"fmt"
	"runtime"
	"syscall"
	"unsafe"

	"minidocker/mydocker/trace"
)

// Call is a system call written down, to be made later: by this thread, or by
// the child of a fork, which can do nothing but make system calls.
type Call struct {
	Name   string // what it does, for errors and the trace
	Number uintptr
	Args   [6]uintptr
	If     Condition
	memory []any // what Args point to; kept from the garbage collector
}

// Condition says when a call is made and what its failure means.
type Condition uint8

const (
	Must   Condition = iota // a failure ends the list
	Ignore                  // a failure means nothing
	Try                     // a failure is remembered
	Else                    // made only if the Try before it failed; a failure ends the list
	Exec                    // execve: does not return; a failure matters if no other succeeds
	Split                   // clone: its child goes on with the list, the caller tells the pid and ends
)

// NewCall writes a call down. Arguments are int, int32, uint32, uint64, uintptr,
// string (as a C string), or a pointer or slice, whose memory must not be on
// the stack.
func NewCall(name string, number uintptr, args ...any) Call {
	c := Call{Name: name, Number: number}
	for i, arg := range args {
		c.Args[i] = c.word(arg)
	}
	return c
}

// On sets the condition.
func (c Call) On(condition Condition) Call {
	c.If = condition
	return c
}

func (c *Call) word(arg any) uintptr {
	switch v := arg.(type) {
	case int:
		return uintptr(v)
	case int32:
		return uintptr(v)
	case uint32:
		return uintptr(v)
	case uint64:
		return uintptr(v)
	case uintptr:
		return v
	case string:
		text, err := syscall.BytePtrFromString(v)
		if err != nil {
			text = new(byte) // a NUL inside: no file has such a name
		}
		c.memory = append(c.memory, text)
		return uintptr(unsafe.Pointer(text))
	case Memory:
		c.memory = append(c.memory, v.keep)
		return uintptr(v.at)
	}
	panic(fmt.Sprintf("system call argument of type %T", arg))
}

// Memory is an argument that points to something.
type Memory struct {
	at   unsafe.Pointer
	keep any
}

// Pointer makes an argument of the address of *v.
func Pointer[T any](v *T) Memory { return Memory{unsafe.Pointer(v), v} }

// Slice makes an argument of the address of a slice's first element.
func Slice[T any](v []T) Memory { return Memory{unsafe.Pointer(unsafe.SliceData(v)), v} }

// Strings makes an argument of a list of strings as execve(2) takes it.
func Strings(list []string) (Memory, error) {
	pointers, err := syscall.SlicePtrFromStrings(list)
	return Slice(pointers), err
}

// CallError is a call of a list that failed.
type CallError struct {
	Call  Call
	Errno syscall.Errno
}

func (e *CallError) Error() string { return fmt.Sprintf("%s: %v", e.Call.Name, e.Errno) }
func (e *CallError) Unwrap() error { return e.Errno }

// Do makes the calls on the calling thread, in their order.
func Do(calls []Call) error {
	missed := false
	for i := range calls {
		c := &calls[i]
		if c.If == Else && !missed {
			continue
		}
		trace.Step("", "%s", c.Name)
		_, _, errno := syscall.RawSyscall6(c.Number, c.Args[0], c.Args[1], c.Args[2], c.Args[3], c.Args[4], c.Args[5])
		switch {
		case c.If == Try:
			missed = errno != 0
		case errno != 0 && c.If != Ignore:
			return &CallError{*c, errno}
		}
	}
	runtime.KeepAlive(calls)
	return nil
}
