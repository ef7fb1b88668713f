#!/bin/bash
# need.sh PACKAGE... installs with apt-get those of the packages that are not installed yet.
# It does nothing, and needs no network, when all are there.
set -euo pipefail

missing=()
for package; do
	status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

command -v apt-get >/dev/null || {
	echo "need.sh: this is no Debian or Ubuntu: install by hand what corresponds to: ${missing[*]}" >&2
	exit 1
}
sudo=()
[ "$(id -u)" = 0 ] || sudo=(sudo)
export DEBIAN_FRONTEND=noninteractive
echo "installing ${missing[*]}" >&2
apt=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300)
# Lists older than a day name versions that the mirror may no longer have.
if [ -z "$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -mtime -1 -print -quit 2>/dev/null)" ]; then
	"${apt[@]}" update >&2
fi
"${apt[@]}" install --no-install-recommends "${missing[@]}" >&2 ||
	{ "${apt[@]}" update >&2 && "${apt[@]}" install --no-install-recommends "${missing[@]}" >&2; }
