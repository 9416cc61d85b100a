#!/bin/sh
# licences.sh MODULE PACKAGE... prints the licences and notices of all Go modules that the packages of the module link, and Go's own.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
cd "$here/$1"
shift

show() { # NAME DIRECTORY
	found=
	for file in "$2"/LICEN[SC]E* "$2"/[Ll]icense* "$2"/COPYING* "$2"/NOTICE* "$2"/PATENTS*; do
		[ -f "$file" ] || continue
		case $file in *.go) continue ;; esac
		found=1
		printf '%s\n%s: %s\n%s\n\n' "$line" "$1" "$(basename "$file")" "$line"
		cat "$file"
		echo
	done
	[ -n "$found" ] || { echo "$1: no licence in $2" >&2; exit 1; }
}

line=--------------------------------------------------------------------------------
show "Go $(go env GOVERSION)" "$(go env GOROOT)"
go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' "$@" | sort -u | while read -r path version dir; do
	[ "$path" != github.com/checkpoint-exporter/checkpoint_exporter ] || continue
	show "$path $version" "$dir"
done
