#!/bin/sh
# fuzz.sh BUDGET runs every fuzz target of both modules. BUDGET is a number of inputs, such as 2000x, or a time. Prefer the number: when
# its time is up, go test now and then takes its own deadline for a failure of the target (golang/go issue 75804).
# Only one target of a package can run at a time.
set -eu

cd "$(dirname "$0")/.."
for module in . standalone; do
	(
		cd "$module"
		grep -rHoE --include='*_test.go' --exclude-dir=standalone '^func Fuzz[A-Za-z0-9_]+' . | sort | while IFS=: read -r file func; do
			go test -run='^$' -fuzz="^${func#func }\$" -fuzztime="$1" -fuzzminimizetime=100x "$(dirname "$file")" || exit 1
		done
	)
done
