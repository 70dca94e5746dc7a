#!/usr/bin/env bash
# Lists the utterances of wav.scp and text, with WeNet's arguments.
exec "$(dirname "$(readlink -f "$0")")/kaldi_tool.sh" "$0" "$@"
