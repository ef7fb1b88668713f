# In the test machine, run by suite.service: /suite/command, its output to the host as it comes, then its exit status.
udevadm settle
[ ! -e bin/mydocker ] || install -m 755 bin/mydocker /usr/local/bin/mydocker
export MYDOCKER_BIN=/usr/local/bin/mydocker MYDOCKER_DISPOSABLE=1
export MYDOCKER_ROOTFS_BUSYBOX=/rootfs/busybox.tar MYDOCKER_ROOTFS_DEBIAN=/rootfs/debian.tar

if [ ! -e /dev/virtio-ports/out ]; then # --shell
	setsid --ctty --wait bash /suite/command <>/dev/hvc0 >&0 2>&1
	status=$?
else
	# A pipe, as under go test: the port itself can be opened only once, so /dev/stdout would be busy.
	exec {out}> >(exec cat >/dev/virtio-ports/out)
	reader=$!
	setsid --wait bash /suite/command </dev/null >&$out 2>&1
	status=$?
	exec {out}>&-
	# The pipe ends at once unless something the command left behind still holds it.
	for ((i = 0; i < 20; i++)); do kill -0 $reader 2>/dev/null || break; sleep 0.1; done
fi
echo $status >/dev/virtio-ports/status
