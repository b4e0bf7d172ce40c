#!/bin/bash
# lint.sh [ARGUMENT...] runs golangci-lint of one fixed version over the module. Building it takes minutes, so
# the program stays in the user's cache, one for each version of it and of Go.
set -euo pipefail
cd "$(dirname "$0")/.."
version=v2.15.0
tools=${XDG_CACHE_HOME:-$HOME/.cache}/dbrollback/tools
bin=$tools/golangci-lint-$version-$(go env GOVERSION)
if [ ! -x "$bin" ]; then
	mkdir -p "$tools"
	exec 9>"$tools/.lock"
	if command -v flock >/dev/null; then flock 9; fi
fi
if [ ! -x "$bin" ]; then
	echo "building golangci-lint $version, once; this takes a few minutes ..." >&2
	work=$(mktemp -d "$tools/build.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	(cd "$work" && GOBIN=$work GOFLAGS= go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$version")
	mv "$work/golangci-lint" "$bin"
fi
"$bin" run --timeout 15m "$@" ./...
