#!/usr/bin/env bash
# The recipe: from speech to a scored, exported, streaming model, stage by stage.
set -euo pipefail
recipe=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$recipe/path.sh"
caller=$PWD
arguments=("$@")
cores=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)

stage=0
stop_stage=7
corpus=smoke
datadir=
train_config=
exp_name=
init_from=
init_partial=false
allow_config_change=false
nbpe=
data_type=raw
average_num=
decode_modes="ctc_greedy_search ctc_prefix_beam_search attention attention_rescoring joint_ctc_attention"
decode_chunks="-1 16"
left_chunks=-1
eval_chunks="-1 16 8 4"
eval_left_chunks="-1 4"
export_formats=torchscript
lm_text=
lm_order=3
num_gpus=-1
nproc=
jobs=$cores
seed=
smoke_hours=3.2
set=
set_up=false
help_message="Usage: bash run.sh [options]

Stages: 0 download or synthesise, 1 data directories, 2 CMVN, 3 BPE and lists, 4 training,
        5 checkpoint averaging, 6 decoding and scoring, 7 export,
        8 (only where asked for) a language model, tuned on the dev set, and decoding with it.

Options, with their defaults in brackets; paths are relative to where you stand:
  --stage N              first stage [$stage]
  --stop-stage N         last stage [$stop_stage]
  --corpus NAME          $(cd "$recipe/corpora" && echo *.sh | sed 's/\.sh//g'): see corpora/ [$corpus]
  --datadir DIR          holds LibriSpeech/<part>; stage 0 fills it [egs/librispeech/corpus]
  --train-config YAML    experiment configuration [the corpus's own, in conf/]
  --exp-name NAME        folder of the run in egs/librispeech/exp [<corpus>_<configuration>]
  --init-from CKPT       weights that training starts from, beside their units.txt [drawn ones]
  --init-partial BOOL    true accepts that --init-from leaves tensors over [$init_partial]
  --allow-config-change BOOL  true lets a run go on with another configuration [$allow_config_change]
  --nbpe N               pieces of the BPE model [the corpus's own]
  --data-type raw|shard  lists of files, or tar shards of a thousand utterances [$data_type]
  --average-num N        checkpoints to average [the corpus's own]
  --decode-modes \"M ...\" searches of stage 6 [$decode_modes]
  --decode-chunks \"C ..\" encoder frames a chunk in stage 6, 40 ms each; -1 for whole utterances [$decode_chunks]
  --left-chunks N        chunks of history when decoding in chunks, -1 for all [$left_chunks]
  --eval-chunks \"C ..\"   chunks of which stage 6 measures WER, latency and flicker; none for empty [$eval_chunks]
  --eval-left-chunks \"N ..\" histories of these chunks, -1 for all of the past [$eval_left_chunks]
  --export-formats \"F ..\" of stage 7: torchscript onnx sherpa program, all but the last in int8 too [$export_formats]
  --lm-text \"FILE ..\"   text of the language model beside the training transcripts, a sentence a line; .gz too [none]
  --lm-order N           words of its longest n-grams [$lm_order]
  --num-gpus N           GPUs to train and decode on, -1 for all found, 0 for none [$num_gpus]
  --nproc N              training processes where there is no GPU [the corpus's own, or 1]
  --jobs N               processes that make data in stages 0 and 2 [$jobs, the cores found]
  --seed N               of training, and of the smoke corpus [the configuration's, and 777]
  --smoke-hours H        training hours of the smoke corpus [$smoke_hours]
  --set \"K=V ...\"        settings that override the configuration in stages 2 to 4, such as \"training.max_epochs=3\" [$set]
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

at_least() { # at_least <minimum> <options...>: dies if one is no whole number from there
  local option
  for option in "${@:2}"; do
    [[ ${!option} =~ ^(-1|0|[1-9][0-9]{0,8})$ && ${!option} -ge $1 ]] ||
      die "--${option//_/-} takes a whole number from $1, not '${!option}'"
  done
}

list_of() { # list_of <directory>: the list that stage 3 makes of it
  if [[ $data_type == raw ]]; then echo "$1/data.list"; else echo "$1/shards/shards.list"; fi
}

directory() { echo "data/${1//-/_}"; } # directory <part>: its Kaldi directory

combined() { # combined <set> <parts...>: the directory of one part, or of several put together
  if (($# > 2)); then echo "data/$1"; else directory "$2"; fi
}

# Settings: the corpus's file has those that the options leave open.
(($# == 0)) || die "unexpected argument '$1' (see --help)"
at_least 0 stage stop_stage
[[ -z $seed ]] || at_least 0 seed
at_least -1 num_gpus left_chunks
at_least 1 jobs lm_order
((stage <= 8)) || die "there is no stage $stage; the last is 8"
((stop_stage >= stage)) || die "--stop-stage $stop_stage comes before --stage $stage"
[[ -n $corpus && -f corpora/$corpus.sh ]] ||
  die "unknown corpus '$corpus'; known: $(cd "$recipe/corpora" && echo *.sh | sed 's/\.sh//g')"
if [[ -n $datadir ]]; then datadir=$(from_caller "$datadir"); else datadir=$recipe/corpus; fi
given_config=$train_config given_nbpe=$nbpe given_average_num=$average_num given_nproc=$nproc
nproc=1
# shellcheck source=corpora/smoke.sh
. "corpora/$corpus.sh"
nbpe=${given_nbpe:-$nbpe}
average_num=${given_average_num:-$average_num}
nproc=${given_nproc:-$nproc}
at_least 1 nbpe average_num nproc
if [[ -n $given_config ]]; then train_config=$(from_caller "$given_config"); else train_config=../../$train_config; fi
[[ $data_type == raw || $data_type == shard ]] || die "--data-type takes raw or shard, not '$data_type'"
[[ -f $train_config ]] || die "no such configuration: $train_config"
if [[ -n $init_from ]]; then init_from=$(from_caller "$init_from"); fi
[[ -z $init_from || -f $init_from ]] || die "no such checkpoint: $init_from"
read -ra modes <<<"$decode_modes"
read -ra chunks <<<"$decode_chunks"
read -ra latency_chunks <<<"$eval_chunks"
read -ra histories <<<"$eval_left_chunks"
read -ra settings <<<"$set"
overrides=()
for setting in "${settings[@]}"; do overrides+=(--set "$setting"); done
read -ra lm_files <<<"$lm_text"
lm_texts=()
for file in "${lm_files[@]}"; do
  lm_texts+=("$(from_caller "$file")")
  [[ -f ${lm_texts[-1]} ]] || die "no such file: ${lm_texts[-1]}"
done

mapfile -t parts < <(printf '%s\n' "${train_parts[@]}" "${dev_parts[@]}" "${test_parts[@]}" | sort -u)
mapfile -t tests < <(for part in "${test_parts[@]}"; do directory "$part"; done)
train=$(combined "train_$corpus" "${train_parts[@]}")
dev=$(combined "dev_$corpus" "${dev_parts[@]}")
mapfile -t sets < <(printf '%s\n' "$train" "$dev" "${tests[@]}" | awk '!seen[$0]++')
lang=data/lang_$(basename "$train")_bpe$nbpe
exp=exp/${exp_name:-${corpus}_$(basename "$train_config" .yaml)}
average=$exp/avg_$average_num.pt

stage_0() { # the corpus
  local part
  if [[ $corpus == smoke ]]; then
    logged stage0 python3 local/synthesize_smoke.py --output-dir "$datadir" --hours "$smoke_hours" \
      --seed "${seed:-777}" --jobs "$jobs"
    return
  fi
  for part in "${parts[@]}"; do
    logged "stage0_$part" python3 local/download_data.py --part "$part" --output-dir "$datadir"
  done
}

stage_1() { # Kaldi directories
  local part name
  for part in "${parts[@]}"; do needs "$datadir/LibriSpeech/$part" 0; done
  for part in "${parts[@]}"; do
    logged "stage1_$part" python3 local/prepare_data.py "$datadir/LibriSpeech/$part" "$(directory "$part")"
  done
  combine "$train" "${train_parts[@]}"
  combine "$dev" "${dev_parts[@]}"
  for name in "${sets[@]}"; do
    logged "stage1_validate_$(basename "$name")" validate_data_dir.sh --no-feats "$name"
  done
}

combine() { # combine <target> <parts...>: puts their directories together, if there are several
  local target=$1 sources=() part
  shift
  (($# > 1)) || return 0
  for part in "$@"; do sources+=("$(directory "$part")"); done
  logged "stage1_$(basename "$target")" combine_data.sh "$target" "${sources[@]}"
}

stage_2() { # CMVN
  needs "$train/wav.scp" 1
  logged stage2 python3 -m wenet_lite.bin.compute_cmvn --data-dir "$train" --config "$train_config" \
    --output "$train/global_cmvn" --jobs "$jobs" "${overrides[@]}"
}

stage_3() { # BPE model and lists
  local name maker
  for name in "${sets[@]}"; do needs "$name/text" 1; done
  logged stage3_bpe python3 -m wenet_lite.bin.train_bpe --text "$train/text" --vocab-size "$nbpe" \
    --model-type "$bpe_type" --config "$train_config" --output-dir "$lang" "${overrides[@]}"
  for name in "${sets[@]}"; do
    if [[ $data_type == raw ]]; then
      maker=(make_list --output "$name/data.list")
    else
      maker=(make_shards --output-dir "$name/shards" --jobs "$jobs")
    fi
    logged "stage3_$(basename "$name")" python3 -m "wenet_lite.bin.${maker[0]}" --data-dir "$name" \
      --lang-dir "$lang" "${maker[@]:1}"
  done
}

stage_4() { # training
  needs "$train/global_cmvn" 2
  local file options=(${seed:+--set "seed=$seed"} "${overrides[@]}")
  for file in "$(list_of "$train")" "$(list_of "$dev")" "$lang/units.txt"; do needs "$file" 3; done
  if [[ -n $init_from ]]; then options+=(--init-from "$init_from"); fi
  if $init_partial; then options+=(--init-partial); fi
  if $allow_config_change; then options+=(--allow-config-change); fi
  computing stage4 wenet_lite.bin.train --config "$train_config" \
    --train-data "$(list_of "$train")" --dev-data "$(list_of "$dev")" --lang-dir "$lang" --cmvn "$train/global_cmvn" \
    --exp-dir "$exp" "${options[@]}"
}

computing() { # computing <name> <module> <arguments...>: logged, a process a GPU, or --nproc of them on the cores
  local name=$1 gpus processes launcher=(python3 -m) device=()
  gpus=$(count_gpus)
  processes=$((gpus > 0 ? gpus : nproc))
  if ((processes > 1)); then launcher=(python3 -m wenet_lite.bin.launch "$processes"); fi
  if ((gpus == 0)); then device=(--device cpu); fi
  logged "$name" "${launcher[@]}" "${@:2}" "${device[@]}"
}

count_gpus() { # GPUs to train on: those of --num-gpus, if they are there
  local found
  ((num_gpus != 0)) || { echo 0 && return; }
  found=$(python3 -c 'import torch; print(torch.cuda.device_count())')
  ((num_gpus <= found)) || die "--num-gpus $num_gpus: $found found (see CUDA_VISIBLE_DEVICES and wenet-lite doctor)"
  echo $((num_gpus < 0 ? found : num_gpus))
}

without_gpu() { # whether this run computes on the CPU; ends it where it asks for GPUs that are not there
  local gpus
  gpus=$(count_gpus) || exit 1
  ((gpus == 0))
}

stage_5() { # checkpoint averaging
  needs "$exp/checkpoints" 4
  logged stage5 python3 -m wenet_lite.bin.average --exp-dir "$exp" --num "$average_num" --mode best --output "$average"
}

streams() { # whether the model of this run was trained in chunks
  grep -Eq '^ *(use_dynamic_chunk: true|static_chunk_size: [1-9])' "$exp/train.yaml"
}

stage_6() { # decoding and scoring; latency of streams
  decode stage6 "${modes[*]}"
  if streams && ((${#latency_chunks[@]})); then
    local data=${tests[0]} name device=()
    name=$(basename "$data")
    if without_gpu; then device=(--device cpu); fi
    logged "stage6_${name}_latency" python3 -m wenet_lite.bin.evaluate_chunks --exp-dir "$exp" --checkpoint "$average" \
      --data "$(list_of "$data")" --ref "$data/text" --result-dir "$exp/chunks_$name" \
      --chunks "${latency_chunks[@]}" --left-chunks "${histories[@]}" "${device[@]}"
  fi
}

decode() { # decode <log> "<modes>" <options...>: every test set, whole and in chunks; then the table
  needs "$average" 5
  local data name chunk searches context
  for data in "${tests[@]}"; do needs "$(list_of "$data")" 3; done
  read -ra searches <<<"$2"
  if ! streams; then
    echo "run.sh: this model hears whole utterances only: no decoding in chunks"
    chunks=(-1)
  fi
  for data in "${tests[@]}"; do
    name=$(basename "$data")
    for chunk in "${chunks[@]}"; do
      context=(--chunk-size "$chunk")
      if ((chunk > 0)); then context+=(--left-chunks "$left_chunks"); fi
      computing "$1_${name}_chunk$chunk" wenet_lite.bin.recognize --exp-dir "$exp" --checkpoint "$average" \
        --data "$(list_of "$data")" --result-dir "$exp/decode_$name" --modes "${searches[@]}" "${context[@]}" "${@:3}"
    done
    logged "$1_${name}_score" local/score.sh "$data" "$exp/decode_$name" "$exp"
  done
  logged "$1_report" python3 -m wenet_lite.bin.report --exp-dir "$exp"
}

stage_7() { # export, and a first recording through it, as a stream if it can
  needs "$average" 5
  needs "$(list_of "${tests[0]}")" 3
  local formats example arguments
  read -ra formats <<<"$export_formats"
  logged stage7 python3 -m wenet_lite.bin.export --exp-dir "$exp" --checkpoint "$average" --format "${formats[@]}" \
    --quantize --output "$exp/model" --check-data "$(list_of "${tests[0]}")"
  example=$(head -n 1 "${tests[0]}/wav.scp" | cut -d ' ' -f 2-)
  arguments=("$exp/model" "$example")
  if streams; then arguments+=(--streaming); fi
  echo "run.sh: tools/wenet-lite transcribe $recipe/${arguments[*]}"
  logged stage7_transcribe python3 -m wenet_lite.bin.transcribe "${arguments[@]}"
}

stage_8() { # a language model, its weights, and decoding with it
  needs "$exp/model/model.yaml" 7
  needs "$(list_of "$dev")" 3
  local lm=$exp/model/lm mode with_lm=() texts=() device=()
  for mode in "${modes[@]}"; do [[ $mode == ctc_greedy_search ]] || with_lm+=("$mode"); done
  ((${#with_lm[@]})) || die "none of --decode-modes takes a language model"
  if without_gpu; then device=(--device cpu); fi
  if ((${#lm_texts[@]})); then texts=(--plain-text "${lm_texts[@]}"); fi
  mkdir -p "$lm"
  logged stage8_train python3 -m wenet_lite.bin.train_lm --text "$train/text" "${texts[@]}" --rules "$exp" \
    --order "$lm_order" --output "$lm/lm.arpa.gz" --dev-text "$dev/text"
  logged stage8_tune python3 -m wenet_lite.bin.tune_lm --exp-dir "$exp" --checkpoint "$average" \
    --data "$(list_of "$dev")" --lm "$lm/lm.arpa.gz" --output "$lm/weights.json" "${device[@]}"
  decode stage8 "${with_lm[*]}" --lm "$lm/lm.arpa.gz" --lm-weights "$lm/weights.json"
}

if $set_up; then
  # shellcheck source=../../tools/setup_env.sh
  . ../../tools/setup_env.sh
  setup_env requirements.txt egs/librispeech/requirements.txt
elif ! lacking=$(satisfied ../../requirements.txt); then
  echo "run.sh: warning: python3 lacks ${lacking:-what requirements.txt names} (run.sh in the project's root installs it)" >&2
fi
for ((current = stage; current <= stop_stage && current <= 8; current++)); do
  echo "run.sh: stage $current ($corpus)"
  "stage_$current"
done
