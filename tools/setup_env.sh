# shellcheck shell=bash
# Sourced by run.sh and tests/run.sh: finds or makes an environment that satisfies the pinned requirements.
#
#   setup_env <requirements file>
#
# An active environment (or the python3 on the PATH) that satisfies them is used as it is; else .venv is made,
# or brought up to date. Environment variables:
#   WENET_LITE_PYTHON     the interpreter that makes .venv (python3)
#   WENET_LITE_INDEX_URL  a further package index; CPU-only users take torch's small CPU builds with
#                         WENET_LITE_INDEX_URL=https://download.pytorch.org/whl/cpu

setup_env() {
  local requirements=$WENET_LITE_ROOT/$1 venv=$WENET_LITE_ROOT/.venv stamp wanted
  stamp=$venv/.stamp_$1
  if _satisfied python3 "$requirements"; then
    return 0
  fi
  local python=${WENET_LITE_PYTHON:-python3}
  if ! command -v "$python" >/dev/null || ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    echo "setup: $python is missing or older than 3.10 (install Python 3.10 to 3.13, or set WENET_LITE_PYTHON)" >&2
    return 1
  fi
  wanted=$(cat "$WENET_LITE_ROOT"/requirements*.txt "$WENET_LITE_ROOT"/egs/*/requirements.txt | cksum)
  if [[ -f $stamp && $(<"$stamp") == "$wanted" ]]; then
    _use_venv "$venv"
    return 0
  fi
  if [[ ! -x $venv/bin/pip ]]; then
    echo "setup: making $venv"
    rm -rf "$venv"
    if ! "$python" -m venv "$venv"; then
      rm -rf "$venv"
      echo "setup: $python cannot make a virtual environment (on Debian and Ubuntu: apt install python3-venv)" >&2
      return 1
    fi
  fi
  echo "setup: installing $1 into $venv (torch alone is some gigabytes; once only)"
  local index=()
  [[ -z ${WENET_LITE_INDEX_URL:-} ]] || index=(--extra-index-url "$WENET_LITE_INDEX_URL")
  if ! "$venv/bin/python" -m pip install --disable-pip-version-check "${index[@]}" -r "$requirements"; then
    echo "setup: the packages cannot be installed (see above; is there a network, and room on the disk?)" >&2
    return 1
  fi
  echo "$wanted" >"$stamp" # last: a set-up that was killed is taken up again
  _use_venv "$venv"
}

_use_venv() { # _use_venv <folder>: as its activate script does
  export VIRTUAL_ENV=$1 PATH=$1/bin:$PATH
}

_satisfied() { # _satisfied <python> <requirements file>: whether all of it is installed; imports none of it
  "$1" "$WENET_LITE_ROOT/tools/check_requirements.py" "$2" 2>/dev/null
}
