#!/usr/bin/env bash
# Makes a data directory of some utterances or speakers of another.
exec "$(dirname "$(readlink -f "$0")")/kaldi_tool.sh" "$0" "$@"
