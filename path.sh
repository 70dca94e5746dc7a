# shellcheck shell=bash
# Sourced by every script: C locale (Kaldi's sort order), UTF-8 for Python, tools and environment on the PATH.
WENET_LITE_ROOT=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export WENET_LITE_ROOT
export LC_ALL=C PYTHONIOENCODING=UTF-8 PYTHONUTF8=1
export PYTHONPATH=$WENET_LITE_ROOT${PYTHONPATH:+:$PYTHONPATH}
export PATH=$WENET_LITE_ROOT/tools:$PATH
# OpenMP threads that wait asleep, not spinning: much faster where other processes want the cores too.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}

satisfied() { # satisfied <requirements files...>: whether python3 has all of it; else prints what it lacks
  python3 "$WENET_LITE_ROOT/tools/check_requirements.py" "$@" 2>/dev/null
}

use_venv() { # as .venv's activate script does
  export VIRTUAL_ENV=$WENET_LITE_ROOT/.venv PATH=$WENET_LITE_ROOT/.venv/bin:$PATH
  unset PYTHONHOME
}

# An environment that the user has activated comes first, if it will do.
if [[ -x $WENET_LITE_ROOT/.venv/bin/python3 ]] &&
  ! { [[ -n ${VIRTUAL_ENV:-}${CONDA_PREFIX:-} ]] && satisfied "$WENET_LITE_ROOT/requirements.txt" >/dev/null; }; then
  use_venv
fi
