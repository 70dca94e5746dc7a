#!/usr/bin/env bash
# Sets the environment up, then runs the tests: bash tests/run.sh [--all] [pytest options]
#   --all   the long tests and the linters too
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=../path.sh
. "$root/path.sh"
# shellcheck source=../tools/setup_env.sh
. "$root/tools/setup_env.sh"
setup_env requirements-dev.txt
cd "$root"
if [[ ${1:-} == --all ]]; then
  shift
  git ls-files '*.sh' run.sh .ci/run | xargs shellcheck
  ruff check .
  ruff format --check .
  mypy
  exec python3 -m pytest "$@"
fi
exec python3 -m pytest -m "not slow" "$@"
