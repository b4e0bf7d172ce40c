#!/bin/sh
# cache-dir.sh prints the directory where test servers and their templates are kept between runs.
# internal/testdb/home.go follows the same rule: servers do not run as root, and what they run as
# cannot look into root's home.
set -eu
if [ -n "${DBROLLBACK_TEST_CACHE:-}" ]; then
	echo "$DBROLLBACK_TEST_CACHE"
elif [ "$(id -u)" = 0 ]; then
	echo /var/cache/dbrollback-test
elif [ "$(uname -s)" = Darwin ]; then
	echo "$HOME/Library/Caches/dbrollback-test"
else
	echo "${XDG_CACHE_HOME:-$HOME/.cache}/dbrollback-test"
fi
