#!/usr/bin/env bash
# Makes a Kaldi data directory of a CSV table, a Hugging Face audio folder or lhotse manifests: describe_data.sh --help
# shellcheck source=../path.sh
. "$(dirname "$(readlink -f "$0")")/../path.sh"
exec python3 -m wenet_lite.bin.describe_data "$@"
