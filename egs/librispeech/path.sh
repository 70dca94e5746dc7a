# shellcheck shell=bash
# Sourced by the scripts of this recipe.
# shellcheck source=../../path.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../path.sh"
