# The probe: the command that the checker has an engine run, to look at it from the host.
#   /bin/busybox sh -c "$(labs probe)" NONCE MODE STATUS [ARGUMENT...]
# It does what MODE says, in a child that then becomes "sleep 1000000". By that sleep the checker sees that it is
# ready, and by RESULT in the sleep's environment how it went. SIGUSR1 releases it: it exits with STATUS.
b=/bin/busybox mode=$1 status=$2 n=$3
export LABS_PROBE="$0" # marks its children
ready() { RESULT=$1 exec $b sleep 1000000; }
release() { kill -9 $!; exit $status; }
trap release USR1
for signal in TERM INT HUP QUIT USR2; do
	case $mode in
	exit) trap "status=$n; release" $signal ;; # ends, with the other status
	note) trap "note=$signal" $signal ;;       # stays, and RESULT tells which signal came
	ignore) trap '' $signal ;;
	esac
done
(
	case $mode in
	memory) $b dd if=/dev/zero of=/dev/null bs=$n count=1 2>/dev/null; ready $? ;; # a buffer of n bytes, written once
	burn) $b sh -c 'while :; do :; done' & ;;                                      # uses the CPU
	orphan) $b sh -c '/bin/busybox sleep 999999 &' ;;                              # its parent is gone at once
	fork) # n children, or as many as the kernel allows: then this shell ends, and RESULT is their number
		i=0
		trap 'ready $i' EXIT
		while [ $i -lt $n ]; do $b sleep 999999 & i=$((i + 1)); done
		exit ;;
	esac
	ready 0
) 2>/dev/null &
while :; do
	note=
	wait $!
	result=$?
	[ -z "$note" ] || { kill -9 $!; result=$note; }
	(ready $result) &
done
