# In the test machine, for classroom.sh: from a bare Debian to a classroom machine, then what the class does on it.
set -uo pipefail
rm -f /usr/local/bin/mydocker # run.sh put it there
unset MYDOCKER_BIN
files=/suite/files kit=/suite/files/kit
home=/home/student top=/home/student/mydocker
failed=0

say() { printf '=== %4d s  %s\n' "$SECONDS" "$*"; }
wrong() {
	echo "WRONG: $*"
	failed=1
}
# refuses PATTERN COMMAND...: the command must fail, and say why.
refuses() {
	local pattern=$1 output
	shift
	if output=$("$@" 2>&1); then wrong "not refused: $*"; fi
	grep -q "$pattern" <<<"$output" || wrong "no word of \"$pattern\" from $*: $output"
}

say "a student's account, the project unpacked from the kit; no go, no make here"
for command in go make curl unzip; do
	! command -v $command >/dev/null || wrong "the test machine has $command: nothing shows that the kit brings it"
done
useradd --create-home --shell /bin/bash student
runuser -u student -- mkdir $top
runuser -u student -- tar -xf $kit/source.tar -C $top
provision=$top/vagrant/provision.sh

say "what provision.sh refuses"
refuses "only root" runuser -u student -- $provision --kit $kit
printf 'ID=fedora\nVERSION_CODENAME=\n' >/run/os-release
mount --bind /run/os-release /etc/os-release
refuses "this machine is fedora" $provision --kit $kit
umount /etc/os-release
touch /run/.containerenv
refuses "this is a container (podman)" $provision --kit $kit
rm /run/.containerenv
printf '#!/bin/sh\necho riscv64\n' >/usr/local/bin/dpkg
printf '#!/bin/sh\necho 4.4.0-19041-Microsoft\n' >/usr/local/bin/uname
chmod 755 /usr/local/bin/{dpkg,uname}
refuses "this machine is riscv64" $provision --kit $kit
rm /usr/local/bin/dpkg
refuses "this is WSL 1" $provision --kit $kit
rm /usr/local/bin/uname
printf ' ' >>$kit/modules.tar
refuses "modules.tar: FAILED" $provision --kit $kit
truncate -s -1 $kit/modules.tar
touch $kit/extra
refuses "not have the same files: extra" $provision --kit $kit
rm $kit/extra
refuses "no classroom kit" $provision --kit /mnt
[ ! -e /usr/local/go ] && [ ! -e /usr/local/share/mydocker ] || wrong "a refused provision.sh left something"

# Without network nobody here shows a certificate; putting 148 in order takes, emulated, a minute, twice.
dpkg-divert --quiet --local --rename --divert /usr/sbin/update-ca-certificates.real --add /usr/sbin/update-ca-certificates
ln -s /bin/true /usr/sbin/update-ca-certificates

say "provision.sh --kit $kit"
$provision --kit $kit 2>&1 | while IFS= read -r line; do printf '%4d s  %s\n' "$SECONDS" "$line"; done | grep -vE ' (Get:|Selecting|Preparing|Unpacking|\(Reading)'
[ "${PIPESTATUS[0]}" = 0 ] || wrong "provision.sh failed"

say "the same again: it changes nothing"
touch /run/before
$provision --kit $kit >/run/again 2>&1 || wrong "provision.sh, the second time: status $?"
sed '/^$/,$d' /run/again
grep -v ' there$' <(sed '/^$/,$d' /run/again) | grep -v '^kit  *done before$' && wrong "the second run did something"
changed=$(find /usr /etc /opt /srv $home /root -xdev -cnewer /run/before ! -type d ! -path "*/go/telemetry/*")
[ -z "$changed" ] || wrong "the second run changed $changed"

say "and without the kit, which is gone when the class begins"
mv $kit $files/gone
$provision >/run/again 2>&1 || wrong "provision.sh without the kit: status $? $(cat /run/again)"

say "a student, in a login shell"
student() { runuser -l student -c "cd $top && $1"; }
student 'go version && go env GOPROXY GOFLAGS GOTOOLCHAIN CGO_ENABLED' || wrong "no go for the student"
bash -lic true 2>/dev/null </dev/null | grep -q 'sudo mydocker run' || wrong "no greeting in a login shell"
student 'time go build -o step1 ./chapters/01-namespaces' || wrong "go build"
mydocker run --rm busybox echo hello | grep -qx hello || wrong "mydocker does not run"
echo 'student ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/student
unset MYDOCKER_DISPOSABLE # the mark alone must do
student 'sudo ./step1 run --hostname box hostname' | grep -qx box || wrong "step1 does not run"
student 'sudo labs check 1 --engine ./step1' || wrong "lab 1 on step1"
student 'labs start 1 ~/my-engine' || wrong "labs start"
student 'cd ~/my-engine && make check' >/run/starter 2>&1 && wrong "a starter passes its lab"
grep -m 1 'not written yet' /run/starter || wrong "make check of a starter: $(cat /run/starter)"

say "the tests of the book and of the labs"
export MYDOCKER_DISPOSABLE=1 MYDOCKER_TEST_DANGER=1 MYDOCKER_BOOK_BIN=$files/stages MYDOCKER_BIN=/usr/local/bin/mydocker
cp /usr/local/bin/mydocker /usr/local/bin/labs $files/stages/ # not below /run: nothing there may be executed
(cd $top && go build -o /dev/null ./chapters/... ./labs/...) || wrong "root cannot build" # and has the modules now: a test asks no proxy
skip='^$'
[ -z "${MYDOCKER_TEST_SHORT:-}" ] || skip='^TestStaircase$/.*/^mydocker$'
while read -r directory binary; do
	start=$SECONDS
	# Left to the host: what is the same on every kernel, and what compiles engines by the dozen.
	case $directory in
	chapters/book) run='^TestChapter$' ;;
	labs) run='^(TestStaircase|TestStarters|TestStart)$' ;;
	labs/incident) run=. ;;
	*) continue ;;
	esac
	(cd "$top/$directory" && "$files/tests/$binary" -test.timeout 600s -test.v -test.run "$run" -test.skip "$skip") 2>&1 | tee /run/tests | grep --line-buffered -E '^ *--- '
	[ "${PIPESTATUS[0]}" = 0 ] || { cat /run/tests && wrong "$directory"; }
	echo "$directory: $((SECONDS - start)) s"
done <$files/tests/list

say "end"
exit $failed
