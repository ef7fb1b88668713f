package main

// plan gives the chapters that are not written yet their files: a package of the engine
// (relative to mydocker/), and below the files that come later than their package. A
// chapter that is written says it in its front matter, and has no entry here.
var plan = map[string]int{
	"disk": 4, "overlay": 4, "image": 5, "image/layer": 5, "image/registry": 5, "volume": 6,
	"network": 7, "network/ipam": 7, "network/nft": 7, "network/dns": 7, "network/proxy": 7,
	"security": 8, "spec": 9, "runtime": 9, "oci": 9, "container": 10, "journal": 10, "logfile": 10, "attach": 10,
	"monitor": 10, "engine": 10, "cli": 11, ".": 11,

	"namespace/thread.go": 4, "namespace/loopback.go": 7, "namespace/enter.go": 7, "namespace/call.go": 8, "namespace/child.go": 8, "namespace/child_amd64.s": 8, "namespace/child_arm64.s": 8, "namespace/fork.go": 8, "namespace/userns.go": 8, "namespace/join.go": 9, "namespace/inside.go": 9,
	"rootfs/apart.go": 6, "rootfs/mask.go": 8, "rootfs/idmap.go": 8, "rootfs/node.go": 8, "rootfs/proc.go": 9, "rootfs/names.go": 9,
	"cgroup/devices.go": 8, "cgroup/devices_v2.go": 8, "cgroup/resolve.go": 9, "cgroup/reopen.go": 9, "cgroup/systemd.go": 9, "cgroup/systemd_props.go": 9,
	"cgroup/details.go": 9, "cgroup/oom.go": 9,
	"disk/watch.go":   10,
	"overlay/size.go": 10,
}
