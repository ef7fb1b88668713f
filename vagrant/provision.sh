#!/bin/bash
# provision.sh [--kit DIR] makes a Debian or Ubuntu machine ready for the book and the labs: Go, the packages that the
# chapters use, mydocker and labs in /usr/local/bin, the image busybox. Run it as root, in the project, as often as you
# like: what is there already stays as it is. With --kit nothing comes from the network (vagrant/README.md).
#
# GOPROXY=URL...  where Go and the modules come from (default https://proxy.golang.org)
# MIRROR=cn       proxies that are quick in China
#
# Owns /usr/local/go (an older one is kept beside it), /usr/local/share/mydocker, /etc/profile.d/mydocker.sh and
# /etc/mydocker-disposable. It can be stopped anywhere: each piece is made aside and renamed, the next run goes on.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/check.sh"
export PATH=/usr/local/bin:/usr/local/go/bin:$PATH:/usr/sbin:/sbin
export HOME=/root # sudo may leave the caller's, and what root compiles would lie there
share=/usr/local/share/mydocker
kit= kit_done= kit_verified=

while [ $# -gt 0 ]; do
	case $1 in
	--kit) kit=$(readlink -e "${2:?--kit DIR}") || die "no directory $2" && shift 2 ;;
	--help | -h) sed -n '2,/^set/{s/^# \?//;/^set/d;p}' "$0" && exit ;;
	*) die "usage: provision.sh [--kit DIR]" ;;
	esac
done

step() { printf '%-28s %s\n' "$1" "${*:2}"; }

# The architecture in $arch, or the reason why this is no machine for the labs.
look_at_machine() {
	local id like container
	id=$(. /etc/os-release && echo "${ID:-}") like=$(. /etc/os-release && echo "${ID_LIKE:-}")
	case " $id $like " in
	*\ debian\ * | *\ ubuntu\ *) ;;
	*) die "this machine is ${id:-unknown}: the labs are made on Debian or Ubuntu" ;;
	esac
	arch=$(dpkg --print-architecture)
	case $arch in amd64 | arm64) ;; *) die "this machine is $arch: amd64 and arm64 are what mydocker knows" ;; esac
	case $(uname -r) in
	*-Microsoft) die "this is WSL 1, which has no Linux kernel: wsl --set-version DISTRIBUTION 2" ;;
	esac
	case $(stat -f -c %T "$top") in
	v9fs | vboxsf | fuseblk | nfs | cifs | smb2) die "$top is a folder shared with another machine: copy it to a disk of this one, or modes, owners and mounts go wrong" ;;
	esac
	container=$(container_kind)
	[ -z "$container" ] || die "this is a container ($container): the labs need a machine, real or virtual, with a kernel of its own"
	[ "$(id -u)" = 0 ] || die "only root can do this: sudo $0 $*"
}

# container_kind prints what kind of container this is; nothing on a machine, and nothing on WSL 2, which is one.
container_kind() {
	local kind=none
	if command -v systemd-detect-virt >/dev/null; then
		kind=$(systemd-detect-virt --container) || true
	fi
	[ "$kind" != none ] || [ ! -e /.dockerenv ] || kind=docker
	[ "$kind" != none ] || [ ! -e /run/.containerenv ] || kind=podman
	case $kind in none | wsl) ;; *) echo "$kind" ;; esac
}

proxies() {
	local default=https://proxy.golang.org,direct
	[ "${MIRROR:-}" != cn ] || default=https://goproxy.cn,direct
	echo "${GOPROXY:-$default}"
}

# The kit is read from end to end before anything is changed; or not at all, if the machine was made from this one and
# needs nothing more of it.
look_at_kit() {
	[ -n "$kit" ] || return 0
	if cmp -s "$kit/SHA256SUMS" $share/kit; then
		kit_done=yes
		step "kit" "done before"
		return
	fi
	verify_once
	step "kit" "complete, of $(sed -n 's/^commit //p' "$kit/KIT" | cut -c 1-12)"
}

verify_once() {
	[ -n "$kit_verified" ] || verify_kit "$kit"
	kit_verified=yes
}

packages() {
	local wanted missing
	wanted=$(sed 's/#.*//' "$here/packages")
	missing=$(for package in $wanted; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || echo "$package"
	done)
	if [ -z "$missing" ]; then
		step "packages" "there"
		return
	fi
	step "packages" "installing" $missing
	if [ -n "$kit" ]; then
		kit_packages $missing
	else
		"$top/labs/need.sh" $missing
	fi
}

# kit_packages PACKAGE... installs them with apt-get, the kit being the only source that it sees.
kit_packages() {
	local id made scratch
	verify_once
	id=$(. /etc/os-release && echo "$ID ${VERSION_CODENAME:-}")
	made=$(sed -n 's/^release //p' "$kit/KIT")
	[ "$id" = "$made" ] || die "the packages of $kit are those of $made, this machine is $id: make the kit on such a machine"
	[ -d "$kit/debs/$arch" ] || die "$kit has no packages for $arch: ARCHES=\"amd64 arm64\" make classroom-kit"
	scratch=$(mktemp -d)
	mkdir "$scratch/parts" "$scratch/lists"
	ln -s "$kit/debs/$arch" "$scratch/debs" # a path without blanks
	echo "deb [trusted=yes] file:$scratch/debs ./" >"$scratch/sources"
	cat >"$scratch/conf" <<-END
		Dir::Etc::SourceList "$scratch/sources";
		Dir::Etc::SourceParts "$scratch/parts";
		Dir::State::Lists "$scratch/lists";
		Acquire::Languages "none";
		APT::Sandbox::User "root";
	END
	(
		export APT_CONFIG=$scratch/conf
		apt-get -qq update >/dev/null
		DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@"
	) || die "installing from $kit/debs/$arch: see above"
	rm -rf "$scratch"
}

# The Go that go.mod names, in /usr/local/go unless it is here already.
toolchain() {
	local new=/usr/local/go.new zip=/usr/local/go.zip old
	if [ "$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null || true)" = "go$go_version" ]; then
		step "Go $go_version" "there"
		link_go
		return
	fi
	step "Go $go_version" "installing in /usr/local/go"
	if [ -z "$kit" ]; then
		fetch_go "$arch" $zip "$(proxies)"
	else
		verify_once
		[ -f "$kit/go/$(go_zip "$arch")" ] || die "$kit has no Go $go_version for $arch: ARCHES=\"amd64 arm64\" make classroom-kit"
		cp "$kit/go/$(go_zip "$arch")" $zip
		same_sum $zip "$(go_zip "$arch")" "$here/go.sums"
	fi
	rm -rf $new
	unzip -q $zip -d $new
	# A module has no execute bits, and no go.mod below its own: the go command puts both right, too, when it unpacks one.
	chmod 755 $new/golang.org/toolchain@*/{bin,pkg/tool/*}/*
	find $new -name _go.mod -execdir mv {} go.mod \;
	if [ -d /usr/local/go ]; then
		old=/usr/local/go.$(head -n 1 /usr/local/go/VERSION 2>/dev/null || echo old)
		rm -rf "$old"
		mv /usr/local/go "$old"
	fi
	mv -T $new/golang.org/toolchain@* /usr/local/go
	rm -rf $new $zip
	hash -r
	link_go
}

# link_go puts go where every PATH has it, that of root under sudo too.
link_go() {
	local root name
	root=$(GOTOOLCHAIN=local go env GOROOT)
	for name in go gofmt; do
		[ "$(readlink -f /usr/local/bin/$name)" = "$(readlink -f "$root/bin/$name")" ] || ln -sfn "$root/bin/$name" /usr/local/bin/$name
	done
}

# The kit's modules as a proxy on this disk, and its compiled packages for who works here and for root.
modules() {
	[ -n "$kit" ] && [ -z "$kit_done" ] || return 0
	step "modules, compiled packages" "unpacking"
	rm -rf $share/modules.new
	mkdir -p $share/modules.new
	tar -xf "$kit/modules.tar" -C $share/modules.new
	rm -rf $share/modules
	mv $share/modules.new $share/modules
	local user home
	for user in $(printf '%s\n' root "$(stat -c %U "$top")" | sort -u); do
		home=$(getent passwd "$user" | cut -d : -f 6) || continue # an owner without a name
		runuser -u "$user" -- mkdir -p "$home/.cache/go-build"
		# Dates in the future (kit.sh): the go command throws away what nobody used for five days.
		runuser -u "$user" -- tar -xz --warning=no-timestamp -C "$home/.cache/go-build" <"$kit/buildcache-$arch.tar.gz"
	done
}

# Go's defaults for all users, in the one file that sudo cannot lose.
defaults() {
	local file proxy line sumdb=sum.golang.org changed=
	file=$(GOTOOLCHAIN=local go env GOROOT)/go.env
	proxy=$(proxies)
	[ ! -d $share/modules ] || proxy=file://$share/modules,$proxy
	[ "${MIRROR:-}" != cn ] || sumdb=sum.golang.google.cn
	# Paths left out of binaries: compiled packages are the same in every directory. No cgo: no C compiler is needed.
	for line in "GOTOOLCHAIN=local" "GOPROXY=$proxy" "GOSUMDB=$sumdb" "GOFLAGS=-trimpath -buildvcs=false" "CGO_ENABLED=0"; do
		grep -qxF "$line" "$file" && continue
		changed=yes
		sed -i "/^${line%%=*}=/d" "$file"
		echo "$line" >>"$file"
	done
	if [ -n "$changed" ]; then step "Go's defaults" "written into $file"; else step "Go's defaults" "there"; fi
}

# mydocker and labs in /usr/local/bin, new ones whenever the sources are others.
programs() {
	local sum name
	sum=$(source_sum)
	if [ "$(cat $share/source 2>/dev/null || true)" = "$sum" ] && [ -x /usr/local/bin/mydocker ] && [ -x /usr/local/bin/labs ]; then
		step "mydocker, labs" "there"
		return
	fi
	mkdir -p $share/bin
	if [ -n "$kit" ] && [ "$(cat "$kit/bin/$arch/source" 2>/dev/null || true)" = "$sum" ]; then
		verify_once
		step "mydocker, labs" "from the kit"
		cp "$kit/bin/$arch"/{mydocker,labs} $share/bin/
	else
		step "mydocker, labs" "building"
		(cd "$top" && for name in mydocker labs; do build $name $share/bin/$name "$arch"; done)
	fi
	for name in mydocker labs; do
		chmod 755 $share/bin/$name
		mv $share/bin/$name /usr/local/bin/$name
	done
	echo "$sum" >$share/source
}

image() {
	local scratch
	if mydocker image inspect busybox >/dev/null 2>&1; then
		step "image busybox" "there"
		return
	fi
	step "image busybox" "importing"
	if [ -n "$kit" ] && [ -f "$kit/images/$arch/busybox.tar" ]; then # the same ID on all machines of the class
		verify_once
		mydocker load -q -i "$kit/images/$arch/busybox.tar" >/dev/null
		return
	fi
	scratch=$(mktemp -d)
	"$top/labs/rootfs.sh" busybox "$scratch/busybox.tar"
	mydocker import -c 'CMD ["sh"]' "$scratch/busybox.tar" busybox >/dev/null
	rm -rf "$scratch"
}

mark() {
	if [ -e /etc/mydocker-disposable ]; then
		step "marked as disposable" "there"
		return
	fi
	echo "set by vagrant/provision.sh on $(date -u +%Y-%m-%d): labs may break this machine" >/etc/mydocker-disposable
	step "marked as disposable" "/etc/mydocker-disposable"
}

greeting() {
	local file=/etc/profile.d/mydocker.sh
	cat >$file.new <<-END
		# Made by vagrant/provision.sh: what a login shell says here.
		export LESSCHARSET=utf-8 # the book has more than ASCII, and a fresh Debian no language
		case \$- in *i*) cat <<'GREETING' ;; esac

		This machine is for learning: break it, and make it again.

		  cd $top
		  less chapters/README.md                        the book
		  less chapters/00-what-is-a-container/README.md where it begins
		  sudo mydocker run --rm busybox echo hello      a container
		  sudo labs doctor                               can the labs run here?

		GREETING
	END
	if cmp -s $file $file.new; then
		rm $file.new
		step "greeting" "there"
		return
	fi
	mv $file.new $file
	step "greeting" "$file"
}

look_at_machine "$@"
look_at_kit
mkdir -p $share
packages
toolchain
modules
defaults
programs
image
mark
greeting
[ -z "$kit" ] || cmp -s "$kit/SHA256SUMS" $share/kit || cp "$kit/SHA256SUMS" $share/kit

echo
bad=0
mydocker doctor || bad=1
labs doctor || bad=1
[ $bad = 0 ] || die "the doctors found what is to be mended: see above"
echo
echo "ready: cd $top"
