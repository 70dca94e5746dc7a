#!/usr/bin/env bash
# Makes a data directory of the utterances of another at the speeds 0.9, 1.0 and 1.1.
exec "$(dirname "$(readlink -f "$0")")/kaldi_tool.sh" "$0" "$@"
