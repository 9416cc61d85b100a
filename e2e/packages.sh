#!/bin/sh
# packages.sh installs the Debian packages that the tests need, those that are missing.
set -eu

missing=
need() { [ -e "$1" ] || missing="$missing $2"; }
need /usr/lib/systemd/systemd systemd
need /usr/bin/dbus-daemon dbus
need /usr/lib/polkit-1/polkitd polkitd
need /usr/bin/nsenter util-linux
need /usr/bin/curl curl
need /usr/bin/cc gcc # Prysm's cryptography is C
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "make e2e needs:$missing (apt-get install --no-install-recommends$missing)" >&2
	exit 1
fi
echo "installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # the list is meant to be split
apt-get install -y -qq --no-install-recommends $missing libc6-dev
