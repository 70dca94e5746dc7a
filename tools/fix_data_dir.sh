#!/usr/bin/env bash
# Sorts the files of a data directory and keeps the utterances that all of them have.
exec "$(dirname "$(readlink -f "$0")")/kaldi_tool.sh" "$0" "$@"
