#!/bin/bash
# unpack-debian.sh NAME SUITE PACKAGE... unpacks packages of another Debian suite, with all they depend on,
# into the test cache and prints the directory (its usr/ holds the programs). The system stays as it is: apt
# works on lists and a status file of its own, and every program is run by the unpacked loader, with the
# unpacked libraries. Does nothing when it is there already.
set -euo pipefail
cd "$(dirname "$0")"
[ $# -ge 3 ] || { echo "usage: $0 NAME SUITE PACKAGE..." >&2; exit 2; }
name=$1 suite=$2
shift 2
cache=$(./cache-dir.sh)
dst=$cache/$name
[ ! -d "$dst" ] || { echo "$dst"; exit 0; }
for need in apt-get dpkg-deb flock tar; do
	command -v "$need" >/dev/null || { echo "$name: this way of getting it needs Debian ($need is missing)" >&2; exit 1; }
done
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$keyring" ] || { echo "$name: this way of getting it needs Debian (its archive keyring is missing)" >&2; exit 1; }
mkdir -p "$cache"
exec 9>"$cache/.$name.lock"
flock 9
[ ! -d "$dst" ] || { echo "$dst"; exit 0; }
echo "unpacking $name from Debian's suite $suite ..." >&2

# the machine's own archive; it names the mirror, so it stays in files that go with this run
work=$(mktemp -d) tmp=$dst.tmp
trap 'rm -rf "$work" "$tmp"' EXIT
rm -rf "$tmp"
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
archive=$(apt-get update --print-uris 2>/dev/null | sed -n "s#^'\(.*\)/dists/$codename/InRelease'.*#\1#p" | head -1)
[ -n "$archive" ] || { echo "$name: apt has no source for $codename" >&2; exit 1; }
mkdir -p "$work"/{lists/partial,archives/partial,sources,deb} "$tmp"
: >"$work/status"
printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' "$archive" "$suite" "$keyring" >"$work/sources/s.sources"
apt=(apt-get -qq
	-o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$work/sources"
	-o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
	-o Dir::State="$work" -o Dir::State::Lists="$work/lists" -o Dir::State::status="$work/status"
	-o Dir::Cache="$work" -o Dir::Cache::Archives="$work/archives" -o APT::Sandbox::User=root
	-o Acquire::Languages=none -o Acquire::Retries=3
	-o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
	-o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false)
"${apt[@]}" update >"$work/log" 2>&1 || { echo "$name: the package lists of $suite cannot be read (is the network there?)" >&2; exit 1; }

# With an empty status file the simulation lists the whole closure, the C library included. What only
# set-up scripts and the init system want is left out.
unwanted='^(adduser|bash|coreutils|dash|debconf|debianutils|dpkg|galera.*|gawk|gcc-.*-base|hostname|init-system-helpers|iproute2'
unwanted+='|libc-gconv-modules-extra|libdb5.*|libgdbm.*|libjson-perl|libllvm.*|libpam.*|libperl.*|libsystemd-shared|login.*|lsb-base|lsof'
unwanted+='|mount|netbase|openssl|passwd|perl.*|postgresql-client-common|postgresql-common.*|procps|psmisc|rsync|sed|sensible-utils|socat'
unwanted+='|ssl-cert|systemd.*|sysvinit-utils|tar|tzdata|ucf|util-linux)$'
mapfile -t closure < <("${apt[@]}" -s install --no-install-recommends "$@" 2>>"$work/log" | awk '$1 == "Inst" { print $2 }' | grep -vE "$unwanted")
[ "${#closure[@]}" -gt 3 ] || { echo "$name: $suite does not have $*" >&2; exit 1; }
(cd "$work/deb" && "${apt[@]}" download "${closure[@]}" >>"$work/log" 2>&1) || { echo "$name: the packages cannot be fetched" >&2; exit 1; }
for deb in "$work"/deb/*.deb; do
	dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$tmp" --no-same-owner --keep-directory-symlink \
		--exclude='./usr/share/doc*' --exclude='./usr/share/man*' --exclude='./usr/share/locale*' --exclude='./usr/share/lintian*' \
		--exclude='./usr/bin/*test*' --exclude='./usr/bin/*embedded*' --exclude='./usr/lib/mysql-test*'
done
chmod -R a+rX "$tmp"

loader=$(cd "$tmp" && find . -name 'ld-linux*.so.*' | sort | tail -1)
triplet=$(basename "$(dirname "$(cd "$tmp" && find . -name 'libc.so.6' | head -1)")")
[ -n "$loader" ] || { echo "$name: no loader among the packages" >&2; exit 1; }
# each program becomes X.elf beside a script X that runs it by the unpacked loader
find "$tmp"/usr/bin "$tmp"/usr/sbin "$tmp"/usr/lib/postgresql/*/bin -type f 2>/dev/null >"$work/programs" || true
while read -r program; do
	[ "$(head -c 4 "$program" | tail -c 3)" = ELF ] || continue
	up=$(realpath --relative-to="$(dirname "$program")" "$tmp")
	mv "$program" "$program.elf"
	cat >"$program" <<-WRAPPER
		#!/bin/sh
		self=\$(readlink -f "\$0")
		root=\$(dirname "\$self")/$up
		exec "\$root/$loader" --argv0 "\$self" --library-path "\$root/usr/lib/$triplet:\$root/lib/$triplet:\$root/usr/lib/mysql/private" "\$self.elf" "\$@"
	WRAPPER
	chmod 755 "$program"
done <"$work/programs"
mv "$tmp" "$dst"
echo "$dst"
