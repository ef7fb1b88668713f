#!/bin/bash
# rootfs.sh busybox|debian DIR|FILE.tar makes a root file system: a new directory, or a tar of it.
#
#   busybox  the host distribution's static busybox with a link for each of its commands: 2 MB, made in a second
#   debian   the host's own release (Debian or Ubuntu), smallest variant, with redis-server, python3 and nginx-light;
#            debootstrap takes minutes the first time, then a copy is kept in ${MYDOCKER_CACHE:-/var/cache/mydocker}
#
# It is built beside DIR and renamed, so DIR is there complete or not at all.
set -euo pipefail
labs=$(dirname "$(readlink -f "$0")")
. "$labs/bootstrap.sh"

usage="usage: rootfs.sh busybox|debian DIR|FILE.tar"
[ $# = 2 ] || die "$usage"
kind=$1 target=$2
case $kind in busybox | debian) ;; *) die "no root file system \"$kind\"; $usage" ;; esac
[ "$(id -u)" = 0 ] || die "files of root can only be made by root: sudo $0 $*"
if [ -d "$target" ]; then
	[ -z "$(ls -A "$target")" ] || die "$target exists and is not empty"
elif [ -e "$target" ]; then
	die "$target exists"
fi
parent=$(dirname "$target")
[ -d "$parent" ] || die "no directory $parent to make $target in"

busybox_tree() {
	local root=$1 command
	"$labs/need.sh" busybox-static
	mkdir -p "$root"/{bin,dev,etc,home,proc,root,run,sys,tmp,var/log,var/spool,var/tmp,usr}
	chmod 755 "$root"
	chmod 700 "$root/root"
	chmod 1777 "$root/tmp" "$root/var/tmp"
	ln -s bin "$root/sbin"
	ln -s ../bin "$root/usr/bin"
	ln -s ../bin "$root/usr/sbin"
	cp "$(dpkg -L busybox-static | grep -m 1 '/bin/busybox$')" "$root/bin/busybox"
	for command in $("$root/bin/busybox" --list); do
		[ "$command" = busybox ] || ln -s busybox "$root/bin/$command"
	done
	cat >"$root/etc/passwd" <<-END
		root:x:0:0:root:/root:/bin/sh
		daemon:x:1:1:daemon:/usr/sbin:/bin/false
		mail:x:8:8:mail:/var/spool/mail:/bin/false
		www-data:x:33:33:www-data:/var/www:/bin/false
		student:x:1000:1000:student:/home/student:/bin/sh
		nobody:x:65534:65534:nobody:/home:/bin/false
	END
	cat >"$root/etc/group" <<-END
		root:x:0:
		daemon:x:1:
		mail:x:8:
		audio:x:29:student
		www-data:x:33:
		staff:x:50:student
		student:x:1000:
		nogroup:x:65534:
	END
	mkdir "$root/home/student"
	chown 1000:1000 "$root/home/student"
	chroot "$root" /bin/sh -c true || die "busybox of $root does not run by itself: is it static?"
}

debian_tar() {
	local root=$1.tree
	bootstrap "$root" "${packages[@]}"
	rm -rf "${root:?}"/dev/* # a container brings its own
	tar_of "$root" "$1"
}

tar_of() {
	tar --numeric-owner --xattrs --xattrs-include='*' --sort=name -C "$1" -cf "$2" .
}

new=$(mktemp -d "$parent/.${target##*/}.XXXXXX")
trap 'rm -rf --one-file-system "$new"' EXIT
mkdir "$new/tree"
case $kind in
busybox)
	busybox_tree "$new/tree"
	[[ $target != *.tar ]] || tar_of "$new/tree" "$new/tar"
	;;
debian)
	packages=(redis-server python3 nginx-light)
	kept=$(cached rootfs "$(key "$labs/rootfs.sh" "$labs/bootstrap.sh" /etc/os-release)" debian_tar)
	if [[ $target == *.tar ]]; then
		cp --reflink=auto "$kept" "$new/tar"
	else
		tar --numeric-owner --xattrs --xattrs-include='*' -C "$new/tree" -xpf "$kept"
	fi
	;;
esac
mv -T "$new/$([[ $target == *.tar ]] && echo tar || echo tree)" "$target" # over an empty directory, too
