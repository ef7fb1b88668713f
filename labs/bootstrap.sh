# Sourced by labs/rootfs.sh and tests/vm/base.sh: trees of Debian or Ubuntu packages, made once and kept.
#
# Owns ${MYDOCKER_CACHE:-/var/cache/mydocker}: NAME-KEY (finished), NAME.log, NAME.lock, and new.* (being built; what a
# crash leaves, removed by the next build). No mount outlives a build: those happen in a mount namespace of their own.

export PATH=$PATH:/usr/sbin:/sbin
cache=${MYDOCKER_CACHE:-/var/cache/mydocker}

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

# host_release prints ID, suite and mirror of the host, as apt knows them: "debian bookworm http://...".
host_release() {
	local id codename mirror attempt
	id=$(. /etc/os-release && echo "$ID")
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	case $id in debian | ubuntu) ;; *) die "host is $id: only Debian and Ubuntu can bootstrap their packages" ;; esac
	for attempt in 1 2; do
		# A suite with a dash (bookworm-updates) is an addition to one without. Codename is what the mirror
		# itself says, so sources that name "stable" are found too; it is empty until the first apt-get update.
		mirror=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
			awk -v want="$codename" '$1 == want && $2 == "main" && $3 !~ /[-\/]/ { print $4; exit }')
		[ -z "$mirror" ] || break
		[ $attempt = 2 ] || apt-get -q update >&2
	done
	[ -n "$mirror" ] || die "apt's sources name no mirror of $id $codename"
	case $mirror in mirror+file:*) # a file that lists mirrors, as cloud images have it
		mirror=$(grep -m 1 -o '^[a-z]*://[^[:space:]]*' "${mirror#mirror+file:}") || die "no mirror in $mirror" ;;
	esac
	echo "$id $codename $mirror"
}

# bootstrap DIR PACKAGE... fills DIR with the host's own release, smallest variant, plus the packages.
bootstrap() {
	local dir=$1 id suite mirror proxy=
	shift
	"$labs/need.sh" debootstrap || exit 1 # set -e does not hold below "builder || ..."
	read -r id suite mirror <<<"$(host_release)"
	[ -n "$mirror" ] || exit 1
	eval "$(apt-config shell proxy Acquire::http::Proxy)" # debootstrap fetches with wget, which does not ask apt
	[ -z "$proxy" ] || export http_proxy=${http_proxy:-$proxy}

	# Two stages, so that the files below are there before any package is configured.
	debootstrap --foreign --variant=minbase --components="$([ "$id" = ubuntu ] && echo main,universe || echo main)" \
		--include="$(IFS=, && echo "$*")" "$suite" "$dir" "$mirror" || die "debootstrap of $suite from $mirror"
	printf '#!/bin/sh\nexit 101\n' >"$dir/usr/sbin/policy-rc.d" # invoke-rc.d: start no service
	chmod 755 "$dir/usr/sbin/policy-rc.d"
	mkdir -p "$dir/etc/dpkg/dpkg.cfg.d"
	echo force-unsafe-io >"$dir/etc/dpkg/dpkg.cfg.d/unsafe-io" # no fsync per file: a crash throws the tree away
	unshare --mount --pid --fork --kill-child chroot "$dir" \
		env PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive /debootstrap/debootstrap --second-stage ||
		die "second stage of debootstrap in $dir; its log: $(tail -n 5 "$dir/debootstrap/debootstrap.log" 2>/dev/null)"
	rm -f "$dir/usr/sbin/policy-rc.d" "$dir/etc/dpkg/dpkg.cfg.d/unsafe-io"
	rm -rf "$dir"/var/cache/apt/*.bin "$dir"/var/cache/apt/archives/*.deb "$dir"/var/lib/apt/lists/* "$dir"/var/log/*.log \
		"$dir"/var/log/apt "$dir"/usr/share/{doc,man,info,locale}/*
	echo "deb $mirror $suite $([ "$id" = ubuntu ] && echo "main universe" || echo main)" >"$dir/etc/apt/sources.list"
}

# cached NAME KEY BUILDER prints the path of NAME-KEY in the cache; when it is not there yet, BUILDER is called with the path
# to make, in a directory of its own. Parallel callers wait for the first; what nobody used for 7 days is removed.
cached() {
	local name=$1 path=$cache/$1-$2 builder=$3 lock new
	mkdir -p "$cache" || die "make the cache $cache"
	exec {lock}>"$cache/$name.lock"
	flock "$lock"
	if [ ! -e "$path" ]; then
		echo "${0##*/}: building $path; this takes a few minutes, once" >&2
		rm -rf --one-file-system "$cache"/new."$name".*
		new=$(mktemp -d "$cache/new.$name.XXXXXX")
		("$builder" "$new/out") >"$cache/$name.log" 2>&1 || {
			rm -rf --one-file-system "$new"
			tail -n 15 "$cache/$name.log" >&2
			die "building $path: see above, and $cache/$name.log"
		}
		mv -T "$new/out" "$path"
		rm -rf --one-file-system "$new"
		find "$cache" -maxdepth 1 -name "$name-*" -mtime +7 -exec rm -rf --one-file-system {} +
	fi
	touch "$path"
	exec {lock}>&-
	echo "$path"
}

# key FILE|WORD... prints a short hash of the files' contents and of the words.
key() {
	local part
	for part; do if [ -f "$part" ]; then cat "$part"; else echo "$part"; fi; done | sha256sum | cut -c 1-12
}
