#!/usr/bin/env bash
# The recipe: from speech to a scored, exported, streaming model, stage by stage.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$recipe/path.sh"
caller=$PWD
arguments=("$@")

stage=0
stop_stage=7
corpus=smoke
datadir=
train_config=
exp_name=
nbpe=
average_num=
decode_modes="ctc_greedy_search ctc_prefix_beam_search attention attention_rescoring"
decode_chunks="-1 16"
left_chunks=-1
num_gpus=-1
nproc=1
jobs=$(nproc)
seed=777
smoke_hours=3.2
set=
set_up=false
help_message="Usage: bash run.sh [options]

Stages: 0 download or synthesise, 1 data directories, 2 CMVN, 3 BPE and lists, 4 training,
        5 checkpoint averaging, 6 decoding and scoring, 7 export.

Options, with their defaults in brackets; paths are relative to where you stand:
  --stage N              first stage [$stage]
  --stop-stage N         last stage [$stop_stage]
  --corpus NAME          $(cd "$recipe/corpora" && echo *.sh | sed 's/\.sh//g'): see corpora/ [$corpus]
  --datadir DIR          holds LibriSpeech/<part>; stage 0 fills it [egs/librispeech/corpus]
  --train-config YAML    experiment configuration [the corpus's own, in conf/]
  --exp-name NAME        folder of the run in egs/librispeech/exp [<corpus>_<configuration>]
  --nbpe N               pieces of the BPE model [the corpus's own]
  --average-num N        checkpoints to average [the corpus's own]
  --decode-modes \"M ...\" searches of stage 6 [$decode_modes]
  --decode-chunks \"C ..\" encoder frames a chunk in stage 6, 40 ms each; -1 for whole utterances [$decode_chunks]
  --left-chunks N        chunks of history when decoding in chunks, -1 for all [$left_chunks]
  --num-gpus N           GPUs to train and decode on, -1 for all found, 0 for none [$num_gpus]
  --nproc N              training processes where there is no GPU [$nproc]
  --jobs N               processes that make data in stages 0 and 2 [$jobs, the cores found]
  --seed N               of the smoke corpus and of training [$seed]
  --smoke-hours H        training hours of the smoke corpus [$smoke_hours]
  --set \"K=V ...\"        settings that override the configuration, such as \"training.max_epochs=3\" [$set]
  --set-up true|false    make or update .venv first, as run.sh in the project's root has it [$set_up]
  --config FILE          shell file of such options, read before the others []"
. "$recipe/../../tools/parse_options.sh"
cd "$recipe"

die() { # die <message>: one line, exit status 1
  echo "run.sh: $1" >&2
  exit 1
}

from_caller() { # from_caller <path>: as an absolute path
  if [[ $1 == /* ]]; then echo "$1"; else echo "$caller/$1"; fi
}

rerun() { # rerun <stage>: the command that runs one stage with the options of this run
  local words="bash run.sh --stage $1 --stop-stage $1" i
  for ((i = 0; i < ${#arguments[@]}; i += 2)); do
    [[ ${arguments[i]} =~ ^--(stage|stop[-_]stage|set[-_]up)$ ]] || words+=$(printf ' %q' "${arguments[@]:i:2}")
  done
  echo "$words"
}

needs() { # needs <file> <stage that makes it>
  [[ -e $1 ]] || die "stage $current needs $1, which stage $2 makes: $(rerun "$2")"
}

logged() { # logged <name> <command...>: runs it, with a copy of its output in <exp>/log/<name>.log
  python3 ../../tools/run_logged.py "$exp/log/$1.log" "${@:2}"
}

directory() { echo "data/${1//-/_}"; } # directory <part>: its Kaldi directory

combined() { # combined <set> <parts...>: the directory of one part, or of several put together
  if (($# > 2)); then echo "data/$1"; else directory "$2"; fi
}

# Settings: the corpus's file has those that the options leave open.
(($# == 0)) || die "unexpected argument '$1' (see --help)"
for option in stage stop_stage num_gpus nproc jobs seed left_chunks nbpe average_num; do
  [[ ${!option} =~ ^(-1|0|[1-9][0-9]*|)$ ]] || die "--${option//_/-} takes a whole number, not '${!option}'"
done
[[ $stage =~ ^[0-7]$ ]] || die "--stage takes a number from 0 to 7, not '$stage'"
[[ -n $stop_stage ]] && ((stop_stage >= stage)) || die "--stop-stage must not be before --stage $stage"
[[ $nproc$jobs =~ ^[1-9] && $jobs -gt 0 ]] || die "--nproc and --jobs take a number from 1"
[[ -n $corpus && -f corpora/$corpus.sh ]] ||
  die "unknown corpus '$corpus'; known: $(cd corpora && echo *.sh | sed 's/\.sh//g')"
if [[ -n $datadir ]]; then datadir=$(from_caller "$datadir"); else datadir=$recipe/corpus; fi
given_config=$train_config given_nbpe=$nbpe given_average_num=$average_num
# shellcheck source=corpora/smoke.sh
. "corpora/$corpus.sh"
nbpe=${given_nbpe:-$nbpe}
average_num=${given_average_num:-$average_num}
if [[ -n $given_config ]]; then train_config=$(from_caller "$given_config"); else train_config=../../$train_config; fi
[[ -f $train_config ]] || die "no such configuration: $train_config"
read -ra modes <<<"$decode_modes"
read -ra chunks <<<"$decode_chunks"
overrides=()
for setting in $set; do overrides+=(--set "$setting"); done

mapfile -t parts < <(printf '%s\n' "${train_parts[@]}" "${dev_parts[@]}" "${test_parts[@]}" | sort -u)
train=$(combined "train_$corpus" "${train_parts[@]}")
dev=$(combined "dev_$corpus" "${dev_parts[@]}")
mapfile -t tests < <(for part in "${test_parts[@]}"; do directory "$part"; done)
lang=data/lang_$(basename "$train")_bpe$nbpe
exp=exp/${exp_name:-${corpus}_$(basename "$train_config" .yaml)}
average=$exp/avg_$average_num.pt

