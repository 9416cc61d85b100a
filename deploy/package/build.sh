#!/bin/sh
# build.sh OUT PROGRAMS ARCH... makes the packages, their SBOMs and SHA256SUMS in OUT from the programs in PROGRAMS/ARCH, with those of this
# machine's architecture writing man pages and completions. Same commit, same bytes. Run by make package.
set -eu

out=$1
programs=$2
shift 2
cd "$(dirname "$0")/../.."

umask 022
export LC_ALL=C TZ=UTC
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}"
PACKAGE_VERSION=${PACKAGE_VERSION:-$(deploy/package/version.sh)}
export PACKAGE_VERSION
dirs=$(tools/build.sh package sbom)
nfpm=$(echo "$dirs" | sed -n 1p)/nfpm
sbom=$(echo "$dirs" | sed -n 2p)/cyclonedx-gomod

# Relative, because the descriptions name their sources from the root of the repository.
mkdir -p .cache
BUILD=$(mktemp -d .cache/package.XXXXXX)
export BUILD
trap 'rm -rf "$BUILD"' EXIT
mkdir -p "$out" "$BUILD/man" "$BUILD/completion" "$BUILD/changelog" "$BUILD/licences" "$BUILD/share" "$BUILD/doc"
rm -f "$out"/checkpoint-exporter[_-]* "$out"/checkpointd[_-]* "$out"/*.cdx.json "$out/SHA256SUMS"

here=$programs/$(go env GOHOSTARCH)
date=$(date -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%d)

# man PROGRAM WHAT: kingpin writes the page, but puts a version of many lines into its title and says nothing in its NAME.
man() {
	"$here/$1" --help-man | awk -v name="$1" -v what="$2" -v date="$date" -v version="$PACKAGE_VERSION" '
		/^\.SH "NAME"/ { body = 1; printf ".TH %s 1 \"%s\" \"%s\" \"checkpoint_exporter\"\n.SH \"NAME\"\n%s \\- %s\n", name, date, version, name, what; getline; next }
		body { gsub(/--/, "\\-\\-"); print }
		END {
			print ".SH \"FILES\"\n.TP\n\\fB/etc/checkpoint/checkpoint.yml\\fR\nThe configuration; configuration.md in /usr/share/doc/checkpoint-exporter describes it."
			print ".SH \"SEE ALSO\"\ncheckpoint(1), checkpoint_exporter(1), checkpoint_remediator(1), checkpointd(1), https://github.com/checkpoint-exporter/checkpoint_exporter"
		}' | gzip -9n >"$BUILD/man/$1.1.gz"
}
man checkpoint_exporter "watch checkpoint sync providers and Ethereum nodes for Prometheus"
man checkpoint_remediator "restart Ethereum clients and switch their checkpoint source on alerts"
man checkpoint "what an operator asks and tells the remediator"
man checkpointd "watch, alert on and mend checkpoint sync in one process"
"$here/checkpoint" --completion-script-bash >"$BUILD/completion/bash"
# The shell loads the file as the function _checkpoint when it is first needed, and then has to get an answer; it has compinit already.
"$here/checkpoint" --completion-script-zsh | sed '/compinit/d; /^if /,/^fi/d' >"$BUILD/completion/zsh"
echo '_checkpoint "$@"' >>"$BUILD/completion/zsh"

cp -r deploy/alertmanager deploy/grafana "$BUILD/share/"
rm -rf "$BUILD"/share/alertmanager/*.go "$BUILD/share/alertmanager/testdata"
mkdir "$BUILD/share/rules" "$BUILD/share/dashboards"
cp rules/*.yml "$BUILD/share/rules/"
cp dashboards/*.json "$BUILD/share/dashboards/"
cp docs/*.md "$BUILD/doc/"
cp -r docs/runbooks "$BUILD/doc/"
[ ! -d docs/images ] || cp -r docs/images "$BUILD/doc/"
find "$BUILD/share" "$BUILD/doc" -type f -exec chmod 644 {} +
find "$BUILD" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

for name in checkpoint-exporter checkpointd; do
	printf '%s (%s) unstable; urgency=medium\n\n  * Made from commit %s.\n\n -- %s  %s\n' "$name" "$PACKAGE_VERSION" "$(git rev-parse HEAD)" \
		"The checkpoint_exporter authors <checkpoint-exporter@users.noreply.github.com>" "$(date -R -d "@$SOURCE_DATE_EPOCH")" |
		gzip -9n >"$BUILD/changelog/$name.gz"
done
deploy/package/licences.sh . ./cmd/... | gzip -9n >"$BUILD/licences/checkpoint-exporter.gz"
deploy/package/licences.sh standalone ./cmd/... | gzip -9n >"$BUILD/licences/checkpointd.gz"

for ARCH; do
	export ARCH
	mkdir "$BUILD/$ARCH"
	jobs=
	cp "$programs/$ARCH"/* "$BUILD/$ARCH/"
	for name in checkpoint-exporter checkpointd; do
		for kind in deb rpm; do
			"$nfpm" package --config "deploy/package/$name.yaml" --packager $kind --target "$out/" >/dev/null &
			jobs="$jobs $!"
		done
	done
	for job in $jobs; do wait "$job"; done
	# What each program is made of, as the linker wrote it down.
	for program in "$programs/$ARCH"/*; do
		"$sbom" bin -json -std -noserial -notimestamp -version "$PACKAGE_VERSION" -output "$out/$(basename "$program")_${PACKAGE_VERSION}_$ARCH.cdx.json" "$program"
	done
done
(cd "$out" && sha256sum -- *.deb *.rpm *.cdx.json >SHA256SUMS)
