#!/bin/sh
# deploy.sh VERSION: migrates, deploys, looks, and goes back by itself when the release is bad.
#   DEPLOY   the command that brings the code out; gets the version as its argument
#   HEALTH   the command that exits with 0 when the service is well
#   TRIES    how often HEALTH is asked, and how often a locked database is tried (5); PAUSE seconds between (5)
# The database is that of dbrollback.yml, or DBROLLBACK_DSN. Exit codes are dbrollback's (docs/exit-codes.md); 3 also says that the
# release was bad and the database went back. SIGTERM and Ctrl-C end the run of dbrollback cleanly, and nothing after it begins.
set -u
version=${1:?usage: deploy.sh VERSION}
: "${DEPLOY:?the command that brings the code out}" "${HEALTH:?the command that says whether the service is well}"
tries=${TRIES:-5} pause=${PAUSE:-5} child='' stopped=''

stop() {
	stopped=1
	[ -z "$child" ] || kill -TERM "$child" 2>/dev/null || true
}
trap stop TERM INT

# run COMMAND…: in the background, so that a signal reaches us, and we it; its exit code is ours.
run() {
	"$@" &
	child=$!
	while :; do
		wait "$child"
		code=$?
		kill -0 "$child" 2>/dev/null || break # a signal ends the wait before the child
	done
	child=''
	return $code
}

# go COMMAND…: as run, and no further when it fails.
go() {
	run "$@" || exit $?
	[ -z "$stopped" ] || exit 130
}

version_now() { dbrollback status --output json 2>/dev/null | sed -n 's/^  "current": \([0-9]*\),$/\1/p'; }

back() {
	if [ "$(version_now)" = "$before" ]; then
		echo "deploy.sh: $1; the database is as it was, at version $before" >&2
		exit 3
	fi
	echo "deploy.sh: $1; the database goes back to version $before" >&2
	run dbrollback rollback --to "$before" --yes
	code=$?
	[ $code -eq 0 ] || { echo "deploy.sh: THE ROLLBACK FAILED ($code): dbrollback status, docs/rollback.md" >&2; exit $code; }
	exit 3
}

go dbrollback status # 3: a run was cut off, or the schema drifted: a person looks first
before=$(version_now)
[ -n "$before" ] || exit 1

n=1
until run dbrollback up --release "$version" --yes; do
	[ $code -eq 5 ] && [ -z "$stopped" ] && [ $n -lt "$tries" ] || exit $code # 5: locked, nothing was changed
	n=$((n + 1))
	sleep "$pause"
done

# From here on the database is ahead of the code, or the code is out: whatever goes wrong leads back.
[ -z "$stopped" ] || back "it was stopped"
run sh -c "$DEPLOY" deploy "$version" || back "the code did not come out ($code)"
[ -z "$stopped" ] || back "it was stopped"

n=1
until run sh -c "$HEALTH"; do
	[ -z "$stopped" ] || back "it was stopped"
	[ $n -lt "$tries" ] || back "the service is not well"
	n=$((n + 1))
	sleep "$pause"
done
echo "deploy.sh: $version is out, and well"
