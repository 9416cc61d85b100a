#!/bin/sh
# install.sh puts Grafana's packages and this directory's files into .cache/grafana, as package-lock.json pins them, and prints that path.
# It needs Node.js 20 or later with npm. What is there already is not installed again.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
to=$(cd "$here/../.." && pwd)/.cache/grafana
command -v npm >/dev/null || { echo "missing: npm (apt-get install npm, or Node.js 20 or later by another way)" >&2; exit 1; }
mkdir -p "$to"
cp -R "$here/." "$to/"
hash=$(cat "$here/package-lock.json" "$here/.npmrc" | sha256sum | cut -c1-16)
if [ ! -e "$to/node_modules/.installed-$hash" ]; then
	echo "tools/grafana: installing (460 MB, once for each change of its package-lock.json)" >&2
	(cd "$to" && npm ci >&2)
	touch "$to/node_modules/.installed-$hash"
fi
echo "$to"
