#!/bin/sh
# version.sh prints the version of the packages. A tag v1.2.3 is 1.2.3, v1.3.0-rc.1 is 1.3.0~rc.1, which comes before 1.3.0; four commits
# later it is 1.2.3+4.gabcdef1. Before the first tag it is 0.0.0 and the number of commits. What is not committed adds +dirty.
set -eu
cd "$(dirname "$0")"

dirty=
[ -z "$(git status --porcelain --untracked-files=no)" ] || dirty=+dirty
if long=$(git describe --tags --long --match 'v[0-9]*' 2>/dev/null); then
	tag=${long%-*-g*}
	after=${long#"$tag"-}
	version=$(echo "${tag#v}" | sed 's/-/~/; s/-/./g')
	[ "${after%%-*}" = 0 ] || version=$version+$(echo "$after" | tr - .)
else
	version=0.0.0+$(git rev-list --count HEAD).g$(git rev-parse --short=9 HEAD)
fi
echo "$version$dirty"
