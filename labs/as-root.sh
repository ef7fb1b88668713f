#!/bin/bash
# as-root.sh COMMAND [ARGUMENT...] runs the command as root: with sudo when need be, keeping the caller's PATH (Go is rarely
# on root's), MYDOCKER_* and proxy variables, which sudo drops.
export PATH=$PATH:/usr/sbin:/sbin # not on a user's PATH in Debian: chroot, mkfs.ext4
[ "$(id -u)" != 0 ] || exec "$@"
command -v sudo >/dev/null || { echo "as-root.sh: not root, and no sudo here: run make as root" >&2; exit 1; }
kept=()
for name in $(compgen -e | grep -E '^(PATH|TMPDIR|TERM|GOFLAGS|MYDOCKER_.*|VM_.*|https?_proxy|no_proxy)$'); do
	kept+=("$name=${!name}")
done
exec sudo env "${kept[@]}" "$@"
