#!/usr/bin/env bash
# Tells what data directories and lists hold, share and have wrong: describe_data.sh --help
# shellcheck source=../path.sh
. "$(dirname "$(readlink -f "$0")")/../path.sh"
exec python3 -m wenet_lite.bin.describe_data "$@"
