# shellcheck shell=bash
# Sourced, after path.sh, by scripts that find or make their environment:
#
#   setup_env <requirements files, relative to the project's root...>
#
# An active environment, or a python3 on the PATH, that has all of it is used as it is. Else .venv is made or brought up
# to date; .venv/installed/ has a copy of each requirements file that is in. Environment variables:
#   WENET_LITE_PYTHON     the interpreter that makes .venv (python3, or else python3.13 down to python3.10)
#   WENET_LITE_INDEX_URL  a further package index; CPU-only users take torch's small CPU builds with
#                         WENET_LITE_INDEX_URL=https://download.pytorch.org/whl/cpu

setup_env() {
  local venv=$WENET_LITE_ROOT/.venv
  if [[ $(command -v python3) != "$venv/bin/python3" ]]; then
    local lacking
    if lacking=$(cd "$WENET_LITE_ROOT" && satisfied "$@"); then
      return 0
    fi
    if [[ -n ${VIRTUAL_ENV:-}${CONDA_PREFIX:-} ]]; then
      echo "setup: using .venv, as the active environment lacks ${lacking:-Python 3.10}" >&2
    fi
  fi
  _make_venv "$venv" || return 1
  use_venv
  _install "$venv" "$@"
}

_make_venv() { # _make_venv <folder>: an environment whose pip works; one that was left half-made is made anew
  local python
  if [[ ! -e $1/installing ]] && "$1/bin/python3" -c 'import pip._internal.commands.install' 2>/dev/null; then
    return 0
  fi
  if ! python=$(_suitable_python); then
    echo "setup: ${WENET_LITE_PYTHON:-python3} is no Python 3.10 to 3.13 (install one, or name it: WENET_LITE_PYTHON=/path/to/python3)" >&2
    return 1
  fi
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "setup: $python cannot make environments (on Debian and Ubuntu: apt install python3-venv)" >&2
    return 1
  fi
  echo "setup: making $1 with $("$python" --version)" >&2
  if ! "$python" -m venv --clear "$1"; then
    echo "setup: $1 cannot be made (is there room on the disk, and may you write there?)" >&2
    return 1
  fi
}

_suitable_python() { # prints the path of the first interpreter of a version that torch has wheels for
  local python PATH=${PATH//"$WENET_LITE_ROOT/.venv/bin:"/}
  for python in ${WENET_LITE_PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
    if "$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null; then
      command -v "$python"
      return 0
    fi
  done
  return 1
}

_install() { # _install <environment> <requirements files...>
  local installed=$1/installed mark=$1/installing file outdated=false arguments=()
  shift
  for file in "$@"; do
    arguments+=(-r "$WENET_LITE_ROOT/$file")
    cmp -s "$WENET_LITE_ROOT/$file" "$installed/$file" || outdated=true
  done
  $outdated || return 0
  [[ -z ${WENET_LITE_INDEX_URL:-} ]] || arguments+=(--extra-index-url "$WENET_LITE_INDEX_URL")
  rm -rf "$installed"
  touch "$mark" # a kill may leave packages that pip takes for whole
  echo "setup: installing $* (once; torch with its CUDA libraries takes 5 GB, see WENET_LITE_INDEX_URL in README.md)" >&2
  if ! python3 -m pip install --disable-pip-version-check "${arguments[@]}"; then
    rm "$mark"
    echo "setup: the packages cannot be installed, see above (is there a network, and room on the disk?)" >&2
    return 1
  fi
  for file in "$@"; do # last, so that a set-up that was killed is taken up again
    mkdir -p "$(dirname "$installed/$file")"
    cp "$WENET_LITE_ROOT/$file" "$installed/$file"
  done
  rm "$mark"
}
