#!/bin/sh
# build.sh [-p] NAME... builds the programs that tools/NAME/go.mod pins, and prints the directory each set lies in.
#
# The directory is named by a hash of everything that decides its contents (go.mod, go.sum, flags, compiler and platform), under
# $CHECKPOINT_TOOLS, or ${XDG_CACHE_HOME:-~/.cache}/checkpoint_exporter/tools. What is there already is not built again, and a
# build that is cut short leaves nothing there. -p prints the directory without building.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${CHECKPOINT_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/checkpoint_exporter/tools}
print=
if [ "${1:-}" = -p ]; then print=1; shift; fi
[ $# -gt 0 ] || { echo "usage: build.sh [-p] NAME..." >&2; exit 2; }

for name in "$@"; do
	cd "$here/$name"
	# The flags a set needs stand in a file beside its go.mod, one a line, so that a flag may hold spaces.
	flags=/dev/null
	[ ! -f flags ] || flags=flags
	hash=$( { cat go.mod go.sum "$flags"; go env GOVERSION GOOS GOARCH CGO_ENABLED; } | sha256sum | cut -c1-16)
	dir=$cache/$(echo "$name" | tr / -)-$hash
	echo "$dir"
	if [ -n "$print" ] || [ -d "$dir" ]; then continue; fi

	mkdir -p "$cache"
	# Two builds of one set would only slow each other down: the second waits, then finds the first one's result.
	exec 9>"$dir.lock"
	flock 9
	if [ ! -d "$dir" ]; then
		began=$(date +%s)
		echo "tools/$name: building (once for each change of its go.mod)" >&2
		new=$(mktemp -d "$cache/.new.XXXXXX")
		trap 'rm -rf "$new"' EXIT
		set --
		while IFS= read -r flag; do set -- "$@" "$flag"; done <"$flags"
		GOFLAGS= go build -buildvcs=false -mod=readonly -trimpath "$@" -o "$new/" tool
		chmod 755 "$new"
		mv -T "$new" "$dir"
		trap - EXIT
		echo "tools/$name: built in $(($(date +%s) - began)) s" >&2
	fi
	exec 9>&-
done
