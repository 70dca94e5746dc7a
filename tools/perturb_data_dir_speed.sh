#!/usr/bin/env bash
# Makes a data directory of the utterances of another, spoken slower or faster.
exec "$(dirname "$(readlink -f "$0")")/kaldi_tool.sh" "$0" "$@"
