#!/bin/bash
# base.sh prints the directory that holds the test machine: disk.img (bootable ext4 without a partition table), vmlinuz and initrd.
# It is made from the host's own release once, kept in the cache of labs/bootstrap.sh, and made again when this script,
# a file it puts in, or a root file system's recipe changes. Run as root.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
labs=$(readlink -f "$here/../../labs")
. "$labs/bootstrap.sh"

[ "$(id -u)" = 0 ] || die "files of root can only be made by root: sudo $0"
[ "$(dpkg --print-architecture)" = amd64 ] || die "the test machine is amd64 only, this host is $(dpkg --print-architecture)"

packages=(
	systemd-sysv udev dbus kmod procps iproute2 nftables iptables # the machine itself
	e2fsprogs util-linux xz-utils zstd bzip2 zsh fish busybox-static runc crun docker-registry # debootstrap cannot configure skopeo
)
read -r id _ <<<"$(host_release)"
case $id in
debian) packages+=(linux-image-cloud-amd64) ;;
ubuntu) packages+=(linux-image-virtual) ;;
*) exit 1 ;;
esac

machine() {
	local root=$1.tree
	mkdir -p "$1" "$1.tree" || exit 1
	bootstrap "$root" "${packages[@]}"
	mv "$root"/boot/vmlinuz-* "$1/vmlinuz" && mv "$root"/boot/initrd.img-* "$1/initrd" || die "no kernel in $root/boot"

	mkdir -p "$root/suite" "$root/rootfs" || exit 1
	"$labs/rootfs.sh" busybox "$root/rootfs/busybox.tar" || exit 1
	"$labs/rootfs.sh" debian "$root/rootfs/debian.tar" || exit 1
	cp "$here/suite.service" "$root/etc/systemd/system/" || exit 1
	echo mydocker-vm >"$root/etc/hostname"
	echo "127.0.0.1 localhost mydocker-vm" >"$root/etc/hosts"
	: >"$root/etc/resolv.conf"
	printf '%s\n' "/dev/vda / ext4 defaults 0 0" "/dev/vdb /suite ext4 defaults,x-systemd.device-timeout=60 0 0" >"$root/etc/fstab"
	chroot "$root" systemctl -q enable suite.service || exit 1
	chroot "$root" systemctl -q mask getty.target serial-getty@ttyS0.service serial-getty@hvc0.service \
		systemd-binfmt.service docker-registry.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer || exit 1

	# errors=panic: when the host's disk fills, the machine ends at once instead of running into its timeout.
	mkfs.ext4 -q -e panic -m 0 -d "$root" "$1/disk.img" 8G || die "mkfs.ext4 of $1/disk.img"
	chmod 644 "$1"/*
}

"$labs/need.sh" e2fsprogs
cached vm "$(key "$here/base.sh" "$here/suite.service" "$labs/bootstrap.sh" "$labs/rootfs.sh" /etc/os-release)" machine
