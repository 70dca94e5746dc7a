# shellcheck shell=bash
# Reads the options of the script that sources it, as Kaldi's parse_options.sh does:
#
#   stage=0
#   help_message="Usage: ..."
#   . tools/parse_options.sh      # `--stage 3`, `--dash-and_underscore x`; "$@" keeps what follows the options
#
# A variable that the script has set before is an option; one that holds true or false takes nothing else.
# `--config FILE` is sourced before the others are read. Works under `set -euo pipefail`.

_parse_options_fail() {
  printf '%s: %s\n' "$0" "$1" >&2
  exit 1
}

# Sets _option to the name of the variable that $1 stands for; fails where the script has no such variable.
_parse_options_name() {
  _option=${1#--}
  _option=${_option//-/_}
  [[ $1 == --* && $_option =~ ^[A-Za-z_][A-Za-z0-9_]*$ && -n ${!_option+set} ]]
}

config=${config:-}

for ((_position = 1; _position < $#; _position += 2)); do
  [[ ${!_position} == --* ]] || break
  if [[ ${!_position} == --config ]]; then
    _value=$((_position + 1))
    config=${!_value}
    [[ -f $config && -r $config ]] || _parse_options_fail "missing config '$config'"
    [[ $config == */* ]] || config=./$config # without a slash bash would look in PATH
    # shellcheck source=/dev/null
    . "$config"
  fi
done

while [[ -n ${1:-} ]]; do
  case $1 in
    --help | -h)
      printf '%b\n' "${help_message:-No help found.}"
      exit 0
      ;;
    --*=*) _parse_options_fail "options to scripts must be of the form --name value, got '$1'" ;;
    --*)
      if ! _parse_options_name "$1"; then
        _parse_options_fail "invalid option $1"
      elif (($# < 2)) || _parse_options_name "$2"; then
        _parse_options_fail "option $1 needs a value"
      fi
      _parse_options_name "$1"
      if [[ ${!_option} == true || ${!_option} == false ]] && [[ $2 != true && $2 != false ]]; then
        _parse_options_fail "expected \"true\" or \"false\": $1 $2"
      fi
      printf -v "$_option" '%s' "$2"
      shift 2
      ;;
    *) break ;;
  esac
done

[[ -z ${cmd+set} || -n $cmd ]] || _parse_options_fail "empty argument to --cmd option"
unset -f _parse_options_fail _parse_options_name
unset _option _position _value
true
