#!/usr/bin/env bash
# Checks that a data directory keeps Kaldi's rules; the first broken one is told.
exec "$(dirname "$(readlink -f "$0")")/kaldi_tool.sh" "$0" "$@"
