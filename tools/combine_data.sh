#!/usr/bin/env bash
# Makes one data directory of several; the destination comes first and is deleted.
exec "$(dirname "$(readlink -f "$0")")/kaldi_tool.sh" "$0" "$@"
