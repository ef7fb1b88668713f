#!/bin/bash
# classroom.sh: makes the test machine a classroom machine, from the kit and without network, as a teacher would, and
# runs there what the class will: the book's transcripts and the labs' staircase (classroom-guest.sh).
# What is tested is HEAD; what is not committed is not in the kit.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
top=$(readlink -f "$here/../..")
cd "$top"

work=$(mktemp -d "${TMPDIR:-/var/tmp}/mydocker-classroom.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/files" "$work/files/tests" "$work/files/stages"
ARCHES=amd64 vagrant/kit.sh "$work/files/kit"

# Compiling is slow in an emulated machine: but for one small program, it is done here, of the same sources.
mkdir "$work/source"
tar -xf "$work/files/kit/source.tar" -C "$work/source"
cd "$work/source"
export CGO_ENABLED=0
flags=(-trimpath -buildvcs=false -tags urfave_cli_no_docs -ldflags "-s -w")
for chapter in chapters/[0-9]*; do
	number=$((10#$(basename "$chapter" | cut -c 1-2)))
	go build "${flags[@]}" -o "$work/files/stages/step$number" "./$chapter"
	go build "${flags[@]}" -o "$work/files/stages/first$number" "./$chapter/first"
done
for starter in labs/[0-9]*/starter; do
	number=$((10#$(basename "$(dirname "$starter")" | cut -c 1-2)))
	go build "${flags[@]}" -o "$work/files/stages/starter$number" "./$starter"
done
go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}} {{.Dir}}{{end}}' ./chapters/... ./labs/... | while read -r package directory; do
	directory=${directory#"$work/source/"}
	go test -c "${flags[@]}" -o "$work/files/tests/${directory//\//-}.test" "$package" </dev/null
	echo "$directory ${directory//\//-}.test"
done >"$work/files/tests/list"
cp "$here/classroom-guest.sh" "$work/files/"

cd "$top"
MYDOCKER_BIN=$work/files/kit/bin/amd64/mydocker VM_FILES=$work/files "$here/run.sh" --timeout "${1:-600}" -- bash /suite/files/classroom-guest.sh
