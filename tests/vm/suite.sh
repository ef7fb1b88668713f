# In the test machine: the test binaries that tests/vm/run.sh built, each in its package's directory of the sources.
# suite.sh SECONDS [FLAG...]: all of them together get SECONDS; the flags go to each binary.
limit=$1
shift
echo "$(uname -sr), $(systemctl --version | head -n 1), cgroup v2 with $(cat /sys/fs/cgroup/cgroup.controllers); booted in $(cut -d. -f1 /proc/uptime) s"
status=0
while read -r directory binary; do
	start=$SECONDS
	(cd "/suite/src/$directory" && "/suite/tests/$binary" -test.timeout "$((limit > SECONDS ? limit - SECONDS : 1))s" "$@")
	case $? in
	0) echo "ok  	$directory	$((SECONDS - start))s" ;;
	*) echo "FAIL	$directory	$((SECONDS - start))s" && status=1 ;;
	esac
done </suite/tests/list
exit $status
