#!/usr/bin/env bash
# Sets the environment up on first use, then runs the recipe: bash run.sh --help
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=path.sh
. "$root/path.sh"
# shellcheck source=tools/setup_env.sh
. "$root/tools/setup_env.sh"
if [[ ${1:-} != --help && ${1:-} != -h ]]; then
  setup_env requirements.txt
fi
exec bash "$root/egs/librispeech/run.sh" "$@"
