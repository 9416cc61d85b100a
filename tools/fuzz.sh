#!/bin/sh
# fuzz.sh TIME runs every fuzz target of both modules for TIME each. Only one target of a package can run at a time.
set -eu

cd "$(dirname "$0")/.."
for module in . standalone; do
	(
		cd "$module"
		grep -rHoE --include='*_test.go' --exclude-dir=standalone '^func Fuzz[A-Za-z0-9_]+' . | sort | while IFS=: read -r file func; do
			go test -run='^$' -fuzz="^${func#func }\$" -fuzztime="$1" "$(dirname "$file")" || exit 1
		done
	)
done
