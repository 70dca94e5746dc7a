#!/usr/bin/env bash
# Writes utt2dur of a data directory from its segments or its audio headers.
exec "$(dirname "$(readlink -f "$0")")/kaldi_tool.sh" "$0" "$@"
