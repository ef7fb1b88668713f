#!/bin/bash
# demo.sh: what a container is, in a dozen lines of transcript. Called by "make demo", which has made the image busybox.
# It checks what it shows: a demonstration that went wrong ends with an error.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
name=demo-$$
trap 'bin/mydocker rm -f $name >/dev/null 2>&1 || true' EXIT

say() { printf '\n%s\n' "$*"; }
show() { # show COMMAND: prints it as one would type it, runs it, and keeps what it said in $output; it may fail
	output=$(bash -c "$1" 2>&1) || true
	printf '  $ %s\n' "$1"
	sed 's/^/  /' <<<"$output"
}
wrong() {
	echo "demo: $*" >&2
	exit 1
}

say "1. A container has a name of its own."
show hostname
show 'bin/mydocker run --rm busybox hostname'
[ "$output" != "$(hostname)" ] || wrong "the host name is the host's"

say "2. It sees its own processes only, and the first of them is its command."
show 'bin/mydocker run --rm busybox ps'
[[ $output =~ [[:space:]]1\ root ]] || wrong "the command is not process 1"

say "3. Both come from namespaces. The kernel numbers them; compare:"
inside=$(bin/mydocker run --rm busybox sh -c 'cd /proc/self/ns && for n in *; do echo $n $(readlink $n); done')
printf '  %-10s %-22s %s\n' "" "this shell" "a container"
for n in mnt uts ipc pid net cgroup user; do
	there=$(awk -v n=$n '$1 == n { print $2 }' <<<"$inside")
	[ -n "$there" ] || wrong "no namespace $n in the container"
	here=$(readlink /proc/self/ns/$n)
	printf '  %-10s %-22s %-22s %s\n' $n "${here#*:}" "${there#*:}" "$([ "$here" = "$there" ] && echo shared)"
	case $n in cgroup | user) continue ;; esac # shared or not according to the host and the options
	[ "$here" != "$there" ] || wrong "namespace $n is the host's"
done

say "4. A cgroup limits what it may use: 200 MB do not fit in 32, so the kernel kills it (128 + signal 9)."
show 'bin/mydocker run --rm --memory 32m busybox dd if=/dev/zero of=/dev/null bs=200M count=1; echo "exit status $?"'
[[ $output == *"exit status 137"* ]] || wrong "the memory limit did not bite"

say "5. What it writes stays in a layer of its own, over an image that never changes."
show "bin/mydocker run --name $name busybox sh -c 'echo only in here > /note; cat /note'"
[ "$output" = "only in here" ] || wrong "the container could not write"
show 'ls /note'
[ ! -e /note ] || wrong "/note of the container is on the host"
show 'bin/mydocker run --rm busybox ls /note'

sudo=
[ -z "${SUDO_USER:-}" ] || sudo="sudo "
say "Now a shell of your own; leave it with exit:"
printf '\n  %s\n\n' "${sudo}bin/mydocker run -it --rm busybox sh"
