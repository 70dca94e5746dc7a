# shellcheck shell=bash
# Sourced by every script: C locale (Kaldi's sort order), UTF-8 for Python, tools and environment on the PATH.
WENET_LITE_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export WENET_LITE_ROOT
export LC_ALL=C PYTHONIOENCODING=UTF-8 PYTHONUTF8=1
export PATH=$WENET_LITE_ROOT/tools:$PATH
export PYTHONPATH=$WENET_LITE_ROOT${PYTHONPATH:+:$PYTHONPATH}
if [[ -x $WENET_LITE_ROOT/.venv/bin/python && -z ${VIRTUAL_ENV:-}${CONDA_PREFIX:-} ]]; then
  export PATH=$WENET_LITE_ROOT/.venv/bin:$PATH
fi
