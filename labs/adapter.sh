#!/bin/bash
# adapter.sh docker|mydocker run [FLAG...] COMMAND [ARGUMENT...]    Docker or mydocker, with the command line of the labs' engines
# adapter.sh docker|mydocker clean                                  removes the images that it made
#
#   labs check 2 --engine 'labs/adapter.sh docker'
#
# Both have images where an engine of the labs has --rootfs DIR: one is made of DIR, named after its content, so that it is made
# once in a run of the checker. Those of earlier runs go when the next is made. Without --rootfs the image has a busybox alone.
# MYDOCKER_BIN is the mydocker to run (default: bin/mydocker here, or that on PATH).
set -euo pipefail
top=$(dirname "$(readlink -f "$0")")/..

die() {
	echo "adapter.sh: $*" >&2
	exit 125
}

case ${1:-} in
docker) engine=(docker) ;;
mydocker)
	engine=("${MYDOCKER_BIN:-$top/bin/mydocker}")
	[ -x "${engine[0]}" ] || engine=(mydocker)
	;;
*) die "usage: adapter.sh docker|mydocker run [FLAG...] COMMAND [ARGUMENT...]" ;;
esac
command -v "${engine[0]}" >/dev/null || die "no program ${engine[0]}"
shift

# session is the checker's directory, which is there as long as the checker runs.
session=${MYDOCKER_LABS_DIR:-/var/tmp/mydocker-labs}/${LABS_NONCE:-none}

# clean all|dead removes the images that were made here: all, or those of checkers that are gone.
clean() {
	local id of
	"${engine[@]}" images -q --filter label=labs.session | sort -u | while read -r id; do
		of=$("${engine[@]}" image inspect -f '{{index .Config.Labels "labs.session"}}' "$id") || continue
		[ "$1" = dead ] && [ -d "$of" ] || "${engine[@]}" rmi -f "$id" >/dev/null
	done
}

# image_of DIR prints the name of the image with DIR's files: each checker has its own. That it is there is remembered.
image_of() {
	local name tar
	tar=(tar --sort=name --mtime=@0 --numeric-owner --xattrs --xattrs-include='*' -C "$1" -c .)
	name=labs-adapter:${LABS_NONCE:-none}-$("${tar[@]}" | sha256sum | cut -c 1-24)
	local known=$session/${engine[0]##*/}-${name#*:}
	if [ ! -e "$known" ] && ! "${engine[@]}" image inspect "$name" >/dev/null 2>&1; then
		clean dead >&2
		"${tar[@]}" | "${engine[@]}" import -c "LABEL labs.session=$session" - "$name" >/dev/null
	fi
	[ ! -d "${known%/*}" ] || : >"$known"
	echo "$name"
}

# plain makes the smallest root file system that a probe can live in.
plain() {
	mkdir -p "$1"/{bin,dev,etc,proc,sys,tmp}
	cp /bin/busybox "$1/bin/busybox"
	ln -s busybox "$1/bin/sh"
	echo 'root:x:0:0:root:/:/bin/sh' >"$1/etc/passwd"
	chmod -R go=rX "$1"
}

if [ "${1:-}" = clean ]; then
	clean all
	exit
fi
[ "${1:-}" = run ] || die "run is missing"
shift

rootfs= flags=()
while [ $# -gt 0 ]; do
	case $1 in
	--rootfs) rootfs=${2:?--rootfs needs a directory} && shift 2 ;;
	--rootfs=*) rootfs=${1#*=} && shift ;;
	--hostname | --memory | --cpus | --pids-limit) flags+=("$1" "${2:-}") && shift 2 ;;
	-*) flags+=("$1") && shift ;; # --read-only, and what the engine is to refuse itself
	*) break ;;
	esac
done

if [ -n "$rootfs" ]; then
	[ -d "$rootfs" ] || die "--rootfs $rootfs: no such directory"
	rootfs=$(readlink -f "$rootfs")
	image=$(image_of "$rootfs") || die "make an image of $rootfs"
else
	scratch=$(mktemp -d -p "$([ -d "$session" ] && echo "$session" || echo "${TMPDIR:-/tmp}")")
	plain "$scratch/root"
	image=$(image_of "$scratch/root") || die "make an image of busybox"
	rm -rf "$scratch"
fi
exec "${engine[@]}" run --rm -i --network none "${flags[@]}" "$image" "$@"
