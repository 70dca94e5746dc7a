#!/usr/bin/env bash
# Packs the utterances of wav.scp and text into tar shards, with WeNet's arguments.
exec "$(dirname "$(readlink -f "$0")")/kaldi_tool.sh" "$0" "$@"
