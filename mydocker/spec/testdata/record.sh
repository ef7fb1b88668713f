#!/bin/sh
# Records what dockerd makes of each set of flags in flags.txt: a file per line,
# with the container's Config and HostConfig, its mounts, and the specification
# that dockerd wrote for runc (without the seccomp rules). Needs docker, jq and a
# static busybox; run it here, as root, and look at the difference in git.
set -eu
work=$(mktemp -d)
mkdir -p "$work/root/bin" "$work/root/etc" /tmp/spec-record
mount -t tmpfs none /tmp/spec-record # only a shared mount can be bound with rslave
mount --make-shared /tmp/spec-record
cp "$(command -v busybox)" "$work/root/bin/busybox"
ln -s busybox "$work/root/bin/sleep"
printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n' >"$work/root/etc/passwd"
printf 'root:x:0:\nuser:x:1000:\nwheel:x:10:user\nextra:x:77:\n' >"$work/root/etc/group"
image=spec-record:$$
tar -C "$work/root" -c . | docker import -c 'ENV FROM=image' -c 'CMD ["/bin/sleep","100"]' - "$image" >/dev/null
trap 'docker rmi -f "$image" >/dev/null; umount /tmp/spec-record; rmdir /tmp/spec-record; rm -rf "$work"' EXIT
state=/run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby
[ -d "$state" ] || state=/run/containerd/io.containerd.runtime.v2.task/moby
while read -r name flags; do
	[ -n "$name" ] || continue
	id=$(eval "docker create $flags $image /bin/sleep 100" </dev/null)
	# The file is gone at once where the container cannot start, as with more
	# capabilities than this machine has; so it is caught while it is there.
	rm -f "$work/config.json"
	(until cp "$state/$id/config.json" "$work/" 2>/dev/null && jq . "$work/config.json" >/dev/null 2>&1; do :; done) &
	docker start "$id" >/dev/null || echo "$name: recorded all the same"
	wait $!
	docker inspect "$id" | jq --arg flags "$flags" --slurpfile spec "$work/config.json" '.[0] |
		{Flags: $flags, ID: .Id, Config, HostConfig, Mounts, HostnamePath, HostsPath, ResolvConfPath,
		 Spec: ($spec[0] | .linux.seccomp = (if .linux.seccomp then {defaultAction: .linux.seccomp.defaultAction} else null end))}' |
		sed 's/18446744073709552000/18446744073709551615/' >"$name.json" # jq calculates in doubles
	docker rm -f "$id" >/dev/null
done <flags.txt
