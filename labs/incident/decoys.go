package incident

// decoys are causes that sound right and never hold, by lab.
var decoys = map[int]map[string]string{
	1: {
		"leaked-descriptor": "a socket or directory of the host was left open in it",
		"uninterruptible":   "its processes wait for a disk (state D)",
		"wrong-hostname":    "it has the host's UTS namespace",
	},
	2: {
		"escaped":        "its program has left its root directory, as one leaves a chroot",
		"disk-full":      "the file system below it has no room or no inodes left",
		"missing-rootfs": "files of its root file system are missing",
		"nodev":          "the mount of its /dev has the option nodev",
	},
	3: {
		"stopped":     "its processes have been stopped by SIGSTOP",
		"no-cgroup":   "it has no cgroup of its own",
		"rlimit":      "a resource limit of the process (ulimit) is reached",
		"swap":        "it is swapped out",
		"io-pressure": "it waits for the disk",
	},
}
