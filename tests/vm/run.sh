#!/bin/bash
# run.sh [--timeout SECONDS] [GO TEST FLAG...]           the tests, in a virtual machine with systemd and pure cgroup v2
# run.sh [--timeout SECONDS] -- COMMAND [ARGUMENT...]    a command there instead (bash -c '...' for more)
# run.sh --shell                                         a shell there; leave it with exit
#
#   tests/vm/run.sh -v -short -run 'TestRun|TestOOM'
#   VM_PACKAGES=./mydocker/cgroup tests/vm/run.sh -v
#   VM_FILES=DIR tests/vm/run.sh -- ls /suite/files         what is in DIR goes along
#
# Exit status: the suite's (1 when a test failed) or the command's; 124 out of time, 125 the machine itself went wrong.
# It leaves nothing but the cached base image: every disk is a throw-away copy of it.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
top=$(readlink -f "$here/../..")
packages=${VM_PACKAGES:-./mydocker/... ./tests/e2e/... ./tests/escape}
limit=900 mode=suite flags=() command=()

die() {
	echo "tests/vm: $*" >&2
	exit 125
}

while [ $# -gt 0 ]; do
	case $1 in
	--timeout) limit=${2:?seconds} && shift 2 ;;
	--shell) mode=shell && shift ;;
	--help | -h) sed -n '2,/^set/{s/^# \?//;/^set/d;p}' "$0" && exit ;;
	--) mode=command && shift && command=("$@") && break ;;
	-*) flags+=("-test.${1##-}") && shift ;; # the go command does the same: -run is -test.run to the binary
	*) flags+=("$1") && shift ;;
	esac
done
[[ $limit =~ ^[0-9]+$ ]] || die "--timeout $limit: not a number of seconds"
[ $mode != command ] || [ ${#command[@]} -gt 0 ] || die "-- without a command"
[ $mode != shell ] || [ -t 0 ] || die "--shell needs a terminal"

export PATH=$PATH:/usr/sbin:/sbin
[ $mode != suite ] || command -v go >/dev/null || die "no go on PATH: https://go.dev/doc/install"
"$top/labs/need.sh" qemu-system-x86 e2fsprogs || die "cannot install qemu"
sudo=()
[ "$(id -u)" = 0 ] || sudo=(sudo env "PATH=$PATH" "MYDOCKER_CACHE=${MYDOCKER_CACHE:-}")
base=$("${sudo[@]}" "$here/base.sh") || die "no test machine"

run=$(mktemp -d "${TMPDIR:-/var/tmp}/mydocker-vm.XXXXXX") || die "no room in ${TMPDIR:-/var/tmp}"
machine=
trap '[ -z "$machine" ] || kill $machine; wait; rm -rf "$run"' EXIT
trap 'exit 130' INT TERM HUP
[ "$(df --output=avail -m "$run" | tail -n 1)" -ge 3000 ] || die "less than 3 GB free in ${TMPDIR:-/var/tmp} (choose another with TMPDIR)"

# The second disk: guest scripts, sources (tests read their testdata there), binaries.
stage=$run/stage
mkdir -p "$stage"/{bin,tests,src}
cp "$here/guest.sh" "$here/suite.sh" "$stage"
for variable in ${!MYDOCKER_TEST_@} ${!MYDOCKER_KILL_@} ${!MYDOCKER_OCI_@}; do printf 'export %s=%q\n' "$variable" "${!variable}"; done >"$stage/command"
case $mode in
suite) printf '%q ' exec bash /suite/suite.sh "$limit" "${flags[@]}" >>"$stage/command" ;;
command) printf '%q ' exec "${command[@]}" >>"$stage/command" ;;
shell)
	read -r rows columns < <(stty size)
	printf '%s\n' "export TERM=${TERM:-linux}" "stty rows $rows cols $columns" 'cd; exec bash -l' >>"$stage/command"
	;;
esac
cd "$top"
if [ -n "${MYDOCKER_BIN:-}" ]; then
	cp "$MYDOCKER_BIN" "$stage/bin/mydocker" || die "no binary $MYDOCKER_BIN: make build"
elif [ -e bin/mydocker ]; then
	cp bin/mydocker "$stage/bin/mydocker"
fi
if [ -n "${VM_FILES:-}" ]; then
	cp -a "$VM_FILES" "$stage/files" || die "copy $VM_FILES"
fi
if [ $mode = suite ]; then
	tar --exclude=./.git --exclude=./bin -c . | tar -x -C "$stage/src"
	export CGO_ENABLED=0
	go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}} {{.ImportPath}}{{end}}' $packages >"$run/packages" || die "go list $packages"
	[ -s "$run/packages" ] || die "no tests in $packages"
	awk -v top="$top/" '{ sub(top, "", $1); n = split($1, part, "/"); print $1, part[n] ".test" }' "$run/packages" >"$stage/tests/list"
	go test -c -trimpath -tags urfave_cli_no_docs -ldflags '-s -w' -o "$stage/tests/" $(cut -d ' ' -f 2 "$run/packages") || die "the tests do not compile"
fi
size=$(($(du -sm "$stage" | cut -f 1) * 5 / 4 + 64))
mkfs.ext4 -q -b 4096 -m 0 -d "$stage" "$run/suite.img" "${size}M" 2>&1 | grep -v "^Creating regular file" >&2 || [ "${PIPESTATUS[0]}" = 0 ] || die "making the second disk of $size MB in $run"
rm -rf "$stage"

port=(-device virtserialport,chardev=out,name=out)
[ $mode != shell ] || port=(-device virtconsole,chardev=out)
# KVM only where it boots this kernel (it then panics for want of a root, and -no-reboot ends qemu): inside another
# hypervisor /dev/kvm may exist and hang or abort. arch-capabilities: such a KVM offers that register and refuses the write.
accel=(-accel kvm -cpu max,-arch-capabilities)
{ grep -qwE 'vmx|svm' /proc/cpuinfo && [ -w /dev/kvm ] && timeout 15 qemu-system-x86_64 "${accel[@]}" -m 512 -nodefaults \
	-display none -no-reboot -kernel "$base/vmlinuz" -append panic=-1; } &>/dev/null || accel=(-accel tcg,thread=multi -cpu max)
# snapshot=on: writes go to an unlinked file in TMPDIR, so a killed qemu leaves nothing. werror=report: a full disk of
# the host is an I/O error in the guest; the default would stop the machine and wait.
disk=if=virtio,format=raw,snapshot=on,cache=unsafe,werror=report,rerror=report
qemu=(qemu-system-x86_64 "${accel[@]}" -smp 2 -m 2048 -nodefaults -no-user-config -display none -no-reboot -nic none
	-kernel "$base/vmlinuz" -initrd "$base/initrd"
	-append "root=/dev/vda rw console=ttyS0 quiet panic=-1 ${VM_KERNEL_ARGS:-}"
	-drive "file=$base/disk.img,$disk" -drive "file=$run/suite.img,$disk"
	-serial "file:$run/console"
	-device virtio-serial-pci
	-chardev stdio,id=out,signal=off "${port[@]}"
	-chardev "file,id=status,path=$run/status" -device virtserialport,chardev=status,name=status)

export TMPDIR=${TMPDIR:-/var/tmp}
code=0
if [ $mode = shell ]; then
	"${qemu[@]}" || code=$?
	stty sane
else
	# At the end of its stdin qemu takes the port for disconnected and drops its output: a pipe nobody closes.
	mkfifo "$run/stdin"
	exec {stdin}<>"$run/stdin"
	# What is late by a minute over the tests' own limit (which prints their stacks) is hung.
	timeout --foreground --kill-after 5 $((limit + 60)) "${qemu[@]}" <&$stdin &
	machine=$!
	wait $machine || code=$?
	machine=
fi

if [ -s "$run/status" ]; then
	exit "$(cat "$run/status")"
fi
echo "--- the end of the machine's console" >&2
tail -n 40 "$run/console" >&2 || true
case $code in
124 | 137) echo "tests/vm: no end after $((limit + 60)) s: killed" >&2 && exit 124 ;;
0) die "the machine ended without a status: a kernel panic, a killed suite.service or a full disk ($(df -h --output=avail "$TMPDIR" | tail -n 1 | tr -d ' ') free in $TMPDIR)" ;;
*) die "qemu-system-x86_64 ended with status $code" ;;
esac
