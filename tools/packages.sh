#!/bin/sh
# packages.sh PACKAGE... installs those of the Debian packages that are missing, as root; otherwise it says what is missing.
set -eu

missing=
for package in "$@"; do
	dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
# What is there by another way than a package serves as well.
if command -v cc >/dev/null; then missing=$(echo " $missing " | sed 's/ gcc / /'); fi
if command -v dockerd >/dev/null; then missing=$(echo " $missing " | sed 's/ docker.io / /'); fi
if command -v docker-compose >/dev/null || docker compose version >/dev/null 2>&1; then missing=$(echo " $missing " | sed 's/ docker-compose / /'); fi
[ -n "$(echo "$missing" | tr -d ' ')" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "missing:$missing (apt-get install --no-install-recommends$missing)" >&2
	exit 1
fi
echo "installing$missing" >&2
case $missing in *gcc*) missing="$missing libc6-dev" ;; esac
export DEBIAN_FRONTEND=noninteractive
# None of their services is to start: the tests start their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	trap 'rm -f $policy' EXIT
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
fi
apt-get update -qq
# shellcheck disable=SC2086 # the list is meant to be split
apt-get install -y -qq --no-install-recommends $missing
