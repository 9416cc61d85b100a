#!/bin/sh
# draw.sh CHECKPOINTD OUT IMAGES draws the dashboards, in light and dark, into the directory OUT, and excerpts into IMAGES, on what the program's demo shows a minute after it
# has mended what it broke. It takes about four minutes.
set -eu

program=$1 out=$2 images=$3
root=$(cd "$(dirname "$0")/../.." && pwd)
grafana=$("$root/tools/grafana/install.sh")
story=$(mktemp)
"$program" --demo >"$story" 2>&1 &
demo=$!
trap 'kill $demo 2>/dev/null || :; wait $demo 2>/dev/null || :; rm -f "$story"' EXIT

waited=0
until grep -q 'The story is complete' "$story"; do
	kill -0 $demo 2>/dev/null && [ $waited -lt 300 ] || { cat "$story" >&2; exit 1; }
	sleep 1
	waited=$((waited + 1))
done
sleep 45
api=$(sed -n 's#.*\(http://127\.0\.0\.1:[0-9]*\)/api/v1/query?.*#\1#p' "$story" | head -n 1)
node "$grafana/draw/draw.mjs" "$api" "$root/dashboards" "$out" "$images" 2.5 2
