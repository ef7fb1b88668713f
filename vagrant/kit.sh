#!/bin/bash
# kit.sh [DIR] (make classroom-kit) makes one directory from which any number of machines are made ready without network:
# provision.sh --kit DIR. Run it on the release that the class has (Debian 12 for Debian 12), with network and Go.
#
# ARCHES="amd64 arm64"   for which architectures (default: this one's)
#
#   KIT                      what it is for: release, commit, date
#   SHA256SUMS               of every other file; provision.sh looks at it first
#   source.tar               the project at HEAD
#   go/                      Go, as the module proxy serves it
#   modules.tar              a module proxy with what the project needs
#   buildcache-ARCH.tar.gz   what Go has compiled for chapters, labs and mydocker, so that the class does not all at once
#   debs/ARCH/               Debian packages with all they depend on, and their index
#   bin/ARCH/                mydocker, labs, and the checksum of the sources that they are from
#   images/ARCH/busybox.tar  the image (of this machine's own architecture only)
#
# It is built beside DIR and renamed, so DIR is there complete or not at all.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/check.sh"
target=$(readlink -m "${1:-$top/bin/classroom-kit}")
own=$(dpkg --print-architecture)
read -ra arches <<<"${ARCHES:-$own}"
cd "$top"

if [ -e "$target" ] && [ ! -f "$target/KIT" ]; then die "$target exists and is no kit"; fi
for arch in "${arches[@]}"; do
	case $arch in amd64 | arm64) ;; *) die "no architecture $arch: amd64, arm64" ;; esac
done
[ "$(go env GOVERSION)" = "go$go_version" ] || die "go is $(go env GOVERSION), go.mod wants $go_version: what it compiles now would not be used"
commit=$(git rev-parse --verify HEAD)
[ -z "$(git status --porcelain --untracked-files=no)" ] || echo "kit.sh: what is not committed does not go into the kit" >&2
labs/need.sh git curl apt-utils busybox-static

mkdir -p "$(dirname "$target")"
new=$(mktemp -d "$(dirname "$target")/.classroom-kit.XXXXXX")
trap 'chmod -R u+w "$new"; rm -rf "$new"' EXIT
kit=$new/kit work=$new/work
mkdir -p "$kit/go" "$work/source"

# Everything is made from the committed sources, not from what lies about here.
git archive --format=tar -o "$kit/source.tar" HEAD
tar -xf "$kit/source.tar" -C "$work/source"
top=$work/source here=$work/source/vagrant
cd "$work/source"

for arch in "${arches[@]}"; do
	fetch_go "$arch" "$kit/go/$(go_zip "$arch")" "file://$(go env GOMODCACHE)/cache/download,$(go env GOPROXY)"
done

# A fresh module cache has, after this, just what the project needs, in the form of a proxy.
mkdir "$work/modules"
cache=$(go env GOMODCACHE)/cache/download
export GOMODCACHE=$work/modules GOFLAGS=-modcacherw CGO_ENABLED=0
GOPROXY=file://$cache,$(go env GOPROXY) go mod download
tar -C "$work/modules/cache/download" --exclude=sumdb --exclude=golang.org/toolchain -cf "$kit/modules.tar" .

for arch in "${arches[@]}"; do
	mkdir -p "$kit/bin/$arch" "$work/cache-$arch"
	export GOCACHE=$work/cache-$arch
	build mydocker "$kit/bin/$arch/mydocker" "$arch"
	build labs "$kit/bin/$arch/labs" "$arch"
	source_sum >"$kit/bin/$arch/source"
	# As students compile: no flags. vet and the tests of the labs compile a little more.
	GOARCH=$arch go build -trimpath -buildvcs=false -o /dev/null ./chapters/... ./labs/...
	# Used or not, nothing of it is thrown away for a year: the go command goes by the date.
	tar -C "$GOCACHE" --mtime='1 year' --exclude=trim.txt --exclude=testexpire.txt -czf "$kit/buildcache-$arch.tar.gz" .
done

# debs ARCH fetches the packages and all they depend on, as if nothing were installed: a class has boxes of all sizes.
# What comes along from libc6 on is used only where it is missing.
debs() {
	local root=$work/apt-$1 id
	id=$(. /etc/os-release && echo "$ID")
	mkdir -p "$root"/{lists/partial,archives/partial,parts} "$kit/debs/$1"
	: >"$root/status"
	# The distribution's own sources, none of those that somebody added.
	apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(REPO_URI) $(RELEASE)' 'Created-By: Packages' | sort -u |
		awk -v id="$id" 'tolower($1) == id && ($2 == "main" || $2 == "universe") {
			print "deb [signed-by=/usr/share/keyrings/" id "-archive-keyring.gpg]", $3, $4, $2 }' >"$root/sources"
	[ -s "$root/sources" ] || die "apt's sources name no mirror of $id: apt-get update"
	cat >"$root/conf" <<-END
		APT::Architecture "$1";
		APT::Architectures { "$1"; };
		APT::Sandbox::User "root";
		Dir::Etc::SourceList "$root/sources";
		Dir::Etc::SourceParts "$root/parts";
		Dir::State "$root";
		Dir::State::Lists "$root/lists";
		Dir::State::Status "$root/status";
		Dir::Cache "$root";
		Dir::Cache::Archives "$root/archives";
	END
	APT_CONFIG=$root/conf apt-get -qq update
	APT_CONFIG=$root/conf apt-get -qq -y --no-install-recommends --download-only install $(sed 's/#.*//' "$here/packages") >&2
	mv "$root"/archives/*.deb "$kit/debs/$1/"
	(cd "$kit/debs/$1" && apt-ftparchive packages . >Packages)
}

for arch in "${arches[@]}"; do debs "$arch"; done

# Built once, it has the same ID on every machine; with roots of its own, it leaves no trace in this machine's engine.
for arch in "${arches[@]}"; do
	[ "$arch" = "$own" ] || continue
	mkdir -p "$kit/images/$arch" "$work/busybox"
	labs/as-root.sh labs/rootfs.sh busybox "$work/busybox/rootfs.tar"
	engine=(labs/as-root.sh "$kit/bin/$arch/mydocker" --root "$work/busybox/root" --run-root "$work/busybox/run")
	"${engine[@]}" import -c 'CMD ["sh"]' "$work/busybox/rootfs.tar" busybox >/dev/null
	"${engine[@]}" save -o "$kit/images/$arch/busybox.tar" busybox
	labs/as-root.sh chown -R "$(id -u):$(id -g)" "$work/busybox" "$kit/images"
done

cat >"$kit/KIT" <<END
release $(. /etc/os-release && echo "$ID $VERSION_CODENAME")
architectures ${arches[*]}
commit $commit
made $(date -u +%Y-%m-%dT%H:%M:%SZ)
END
(cd "$kit" && find . -type f ! -name SHA256SUMS -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum >SHA256SUMS)
chmod -R a+rX "$kit"
rm -rf "$target"
mv "$kit" "$target"
echo "$target: $(du -sh "$target" | cut -f 1)"
