#!/usr/bin/env bash
# Runs the Python behind a tool of this folder: kaldi_tool.sh <path of the tool> <its arguments>.
root=$(dirname "$(dirname "$(readlink -f "$0")")")
python=$root/.venv/bin/python
[[ -x $python ]] || python=python3
PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} exec "$python" -m wenet_lite.bin.kaldi_tool "$@"
