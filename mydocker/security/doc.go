// Package security limits what a process inside the container may do, however
// privileged its user is there: capabilities, the system call filter (seccomp),
// resource limits, no_new_privs.
//
// It owns nothing on the host: all of it are properties of a thread or process,
// inherited over execve and gone with it. A crash leaves nothing behind.
//
// Init applies them in this order, on the thread that will call execve:
//
//	SetRlimits          raising a limit needs CAP_SYS_RESOURCE
//	Install             here if no_new_privs stays off: it needs CAP_SYS_ADMIN then
//	DropBounding        needs CAP_SETPCAP
//	KeepCapabilities    or the change of user clears the permitted set
//	SetUser             needs CAP_SETUID and CAP_SETGID
//	SetCapabilities     down to what the container has
//	NoNewPrivileges     if asked for
//	Install             here, as late as can be, if no_new_privs is on
//	execve
//
// A filter installed early must allow all calls of the steps that follow;
// Docker's default profile does.
package security
