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

options=(--plan "$plan" --fail-on "${FAIL_ON:-warning}" --format json -o "$reports/rehearsal.json")
[ ! -e "$baseline" ] || options+=(--baseline "$baseline")
[ -z "${GIT_BASE:-}" ] || options+=(--git-base "$GIT_BASE")
[ -z "${MAX_STALL:-}" ] || options+=(--max-stall "$MAX_STALL")

mkdir -p "$reports"
"$pgumbra" rehearse "${options[@]}" "$@"
code=$?

# The same result in other forms: nothing is rehearsed again, and each form would say
# once more on stderr that a gate failed.
if [ -s "$reports/rehearsal.json" ]; then
    for form in text:txt markdown:md html:html junit:xml sarif:sarif; do
        "$pgumbra" rehearse --plan "$plan" --from-result "$reports/rehearsal.json" --format "${form%%:*}" \
            -o "$reports/rehearsal.${form##*:}" 2>"$reports/error" || [ $? = 3 ] || cat "$reports/error" >&2
    done
    rm -f "$reports/error"
    cat "$reports/rehearsal.txt"
fi
exit "$code"
