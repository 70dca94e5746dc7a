#!/usr/bin/env bash
# The main job on a fresh machine: sets the environment up on first use, then runs the recipe. bash run.sh --help
set -euo pipefail
exec bash "$(dirname "${BASH_SOURCE[0]}")/egs/librispeech/run.sh" --set-up true "$@"
