#!/usr/bin/env bash
# Sets the environment up, then runs the tests: bash tests/run.sh [--all] [pytest options]
#   --all   the long tests too, and the linters first
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=../path.sh
. ./path.sh
# shellcheck source=../tools/setup_env.sh
. tools/setup_env.sh

all=false
arguments=()
for argument in "$@"; do
  if [[ $argument == --all ]]; then all=true; else arguments+=("$argument"); fi
done

lint() {
  grep -rlE --exclude-dir={.git,.venv,corpus,data,exp} --exclude='*.py' '^(#!/usr/bin/env bash|# shellcheck shell=bash)' . |
    sort | xargs shellcheck
  python3 -m ruff check .
  python3 -m ruff format --check .
  python3 -m mypy
}

setup_env requirements.txt egs/librispeech/requirements.txt requirements-dev.txt
if $all; then
  lint
  exec python3 -m pytest "${arguments[@]}"
fi
exec python3 -m pytest -m "not slow" "${arguments[@]}"
