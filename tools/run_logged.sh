#!/usr/bin/env bash
# run_logged.sh <log> <command...>: runs a command; the log holds the command first, its output, its exit status last.
set -uo pipefail
log=$1
shift
mkdir -p "$(dirname "$log")"
printf '# %s\n' "$(printf '%q ' "$@")" >"$log"
# On a terminal the command keeps the terminal for its progress bar; the log then has all of its plain lines.
"$@" > >(tee -a "$log") 2> >(tee -a "$log" >&2)
status=$?
wait
printf '# exit status %d\n' "$status" >>"$log"
exit "$status"
