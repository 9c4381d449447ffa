#!/usr/bin/env bash
# Rehearses the upgrade that a change of the migrations folder brings, and fails
# when it would. For any CI: pgumbra and a PostgreSQL server have to be installed.
#
#   PLAN      the plan file (default: pgumbra.yaml)
#   BASELINE  findings that are accepted; left out where there is no such file
#   GIT_BASE  rehearse what is newer than the migrations of this git revision
#   REPORTS   folder for the reports (default: rehearsal)
#   FAIL_ON   lowest level of the plan's findings that fails: blocker or warning (default)
#   MAX_STALL longest stall of the cutover (default: what the plan file says)
#
# What stands behind its name goes to pgumbra rehearse as it is: rehearse.sh --require-rollback
#
# The exit code is pgumbra's: 0 passed, 3 a gate or the comparison failed.
set -uo pipefail

plan=${PLAN:-pgumbra.yaml}
baseline=${BASELINE:-accepted.yaml}
reports=${REPORTS:-rehearsal}
pgumbra=${PGUMBRA:-pgumbra}

options=(--plan "$plan" --fail-on "${FAIL_ON:-warning}" -o -)
for ending in txt md html json xml sarif; do
    options+=(-o "$reports/rehearsal.$ending")
done
[ ! -e "$baseline" ] || options+=(--baseline "$baseline")
[ -z "${GIT_BASE:-}" ] || options+=(--git-base "$GIT_BASE")
[ -z "${MAX_STALL:-}" ] || options+=(--max-stall "$MAX_STALL")

mkdir -p "$reports"
exec "$pgumbra" rehearse "${options[@]}" "$@"
