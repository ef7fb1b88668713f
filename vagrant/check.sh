# Sourced by provision.sh and kit.sh: what comes from elsewhere is looked at here before it is used.
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
top=$(dirname "$here")

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

go_version=$(awk '$1 == "go" { print $2 }' "$top/go.mod")

# go_zip ARCH prints the name of that architecture's Go, as a module proxy has it.
go_zip() { echo "v0.0.1-go$go_version.linux-$1.zip"; }

# same_sum FILE NAME SUMS compares FILE with what the list SUMS has for NAME.
same_sum() {
	local want have
	want=$(awk -v name="$2" '$2 == name { print $1 }' "$3")
	[ -n "$want" ] || die "$3 has no checksum of $2"
	have=$(sha256sum "$1" | cut -d ' ' -f 1)
	[ "$have" = "$want" ] || die "$1 is not $2: its SHA-256 is $have, $3 says $want"
}

# fetch_go ARCH FILE PROXIES gets Go's zip for ARCH from the first of the proxies (a list as GOPROXY's) that has it.
fetch_go() {
	local name proxy
	name=$(go_zip "$1")
	for proxy in $(tr ',|' '  ' <<<"$3"); do
		case $proxy in http://* | https://* | file://*) ;; *) continue ;; esac # direct, off
		curl -fsSL --retry 2 --connect-timeout 20 -o "$2.part" "${proxy%/}/golang.org/toolchain/@v/$name" || continue
		same_sum "$2.part" "$name" "$here/go.sums"
		mv "$2.part" "$2"
		return
	done
	die "no proxy of $3 gave golang.org/toolchain/@v/$name (GOPROXY=URL or MIRROR=cn chooses others, --kit DIR needs none)"
}

# verify_kit DIR ends the script unless the kit is complete and unchanged: every file listed, every sum right.
verify_kit() {
	local unlisted
	[ -f "$1/SHA256SUMS" ] || die "$1 is no classroom kit: no SHA256SUMS in it (make classroom-kit makes one)"
	unlisted=$(cd "$1" && comm -3 <(find . -type f ! -path ./SHA256SUMS -printf '%P\n' | LC_ALL=C sort) <(cut -c 67- SHA256SUMS | LC_ALL=C sort))
	[ -z "$unlisted" ] || die "the kit $1 and its SHA256SUMS do not have the same files:" $unlisted
	(cd "$1" && sha256sum --check --strict --quiet SHA256SUMS) >&2 || die "the kit $1 was changed after it was made, or its copy is broken: see above"
}

# build NAME FILE ARCH compiles mydocker or labs, as the Makefile does.
build() {
	CGO_ENABLED=0 GOARCH=$3 go build -trimpath -buildvcs=false -ldflags "-s -w" -tags urfave_cli_no_docs -o "$2" "./$1"
}

# source_sum prints one checksum of what the binaries are built from.
source_sum() {
	(cd "$top" && find go.mod go.sum mydocker labs -type f ! -name '*_test.go' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum | cut -d ' ' -f 1
}
