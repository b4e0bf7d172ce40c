#!/bin/sh
# test-rollback.sh practises a rollback on a copy of an environment's database (docs/drill.md):
#   scripts/test-rollback.sh --environment=staging --backup-id=latest
# --backup-id is the snapshot to go back to before: latest, or an id of `dbrollback snapshot list`. Every other argument is passed to
# `dbrollback drill`. The exit code is that of the drill: 0, or 3 when anything is not as before.
set -eu
program=${DBROLLBACK:-dbrollback}
for argument; do
	shift
	case $argument in
	--environment=*) set -- "$@" "--env=${argument#*=}" ;;
	--backup-id=*) set -- "$@" "--snapshot=${argument#*=}" ;;
	--environment | --backup-id)
		echo "test-rollback.sh: write $argument=VALUE" >&2
		exit 2
		;;
	*) set -- "$@" "$argument" ;;
	esac
done
exec "$program" drill "$@"
