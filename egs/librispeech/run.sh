#!/usr/bin/env bash
# The recipe: from speech to a scored, exported, streaming model, stage by stage.
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./path.sh

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
help_message="Usage: bash run.sh [options]

Stages: 0 download or synthesise, 1 data directories, 2 CMVN, 3 BPE and lists, 4 training,
        5 checkpoint averaging, 6 decoding and scoring, 7 export.

  --stage N            first stage ($stage)
  --stop-stage N       last stage ($stop_stage)
  --corpus NAME        smoke, mini, clean100 or full960, see corpora/ ($corpus)
  --datadir DIR        holds LibriSpeech/<part>; stage 0 fills it (egs/librispeech/corpus)
  --train-config YAML  experiment configuration (the corpus's own, in conf/)
  --exp-name NAME      folder under exp/ (<corpus>_<config>)
  --nbpe N             pieces of the BPE model (the corpus's own)
  --average-num N      checkpoints to average (the corpus's own)
  --decode-modes \"..\"  searches of stage 6 ($decode_modes)
  --decode-chunks \"..\" encoder frames a chunk (40 ms each), -1 for whole utterances ($decode_chunks)
  --left-chunks N      chunks of history in chunked decoding, -1 for all ($left_chunks)
  --num-gpus N         GPUs to train on, -1 for all found ($num_gpus)
  --nproc N            training processes where there is no GPU ($nproc)
  --jobs N             processes of stages 0 and 2 ($jobs)
  --seed N             of every random draw ($seed)
  --smoke-hours H      training hours of the smoke corpus ($smoke_hours)
  --set \"k=v ...\"      settings that override the configuration, such as \"training.max_epochs=3\"
  --config FILE        shell file of such options, read first"
. ../../tools/parse_options.sh

die() { # die <message>: one line, exit status 1
  echo "run.sh: $1" >&2
  exit 1
}

needs() { # needs <file> <stage that makes it>
  [[ -e $1 ]] || die "stage $current needs $1, which stage $2 makes: bash run.sh --stage $2 --stop-stage $2 --corpus $corpus"
}

logged() { # logged <name> <command...>: run it, with a copy of its output in $exp/log
  bash ../../tools/run_logged.sh "$exp/log/$1.log" "${@:2}"
}

# Settings: the corpus's, then what the options say; relative paths are taken from where the caller stands.
[[ $stage =~ ^[0-9]+$ && $stop_stage =~ ^[0-9]+$ ]] || die "--stage and --stop-stage take a number from 0 to 7"
[[ -n $corpus && -f corpora/$corpus.sh ]] || die "unknown corpus '$corpus'; known: $(cd corpora && echo *.sh | sed 's/\.sh//g')"
from_caller() { [[ $1 == /* ]] && echo "$1" || echo "$caller/$1"; }
datadir=$([[ -n $datadir ]] && from_caller "$datadir" || echo "$PWD/corpus")
chosen=("$train_config" "$nbpe" "$average_num")
# shellcheck source=corpora/smoke.sh
. "corpora/$corpus.sh"
train_config=$([[ -n ${chosen[0]} ]] && from_caller "${chosen[0]}" || echo "../../$train_config")
[[ -f $train_config ]] || die "no such configuration: $train_config"
nbpe=${chosen[1]:-$nbpe}
average_num=${chosen[2]:-$average_num}

directory() { echo "data/${1//-/_}"; } # directory <part>: its Kaldi directory
combined() { # combined <set> <parts...>: directory of one part, or of several put together
  if (($# > 2)); then echo "data/$1"; else directory "$2"; fi
}
train=$(combined "train_$corpus" "${train_parts[@]}")
dev=$(combined "dev_$corpus" "${dev_parts[@]}")
tests=()
for part in "${test_parts[@]}"; do tests+=("$(directory "$part")"); done
lang=data/lang_$(basename "$train")_bpe$nbpe
exp=exp/${exp_name:-${corpus}_$(basename "$train_config" .yaml)}
average=$exp/avg_$average_num.pt
mapfile -t parts < <(printf '%s\n' "${train_parts[@]}" "${dev_parts[@]}" "${test_parts[@]}" | sort -u)
mkdir -p "$exp/log"

stage_0() { # the corpus
  if [[ $corpus == smoke ]]; then
    logged stage0 python3 local/synthesize_smoke.py --output-dir "$datadir" --hours "$smoke_hours" \
      --seed "$seed" --jobs "$jobs"
    return
  fi
  for part in "${parts[@]}"; do
    logged "stage0_$part" python3 local/download_data.py --part "$part" --output-dir "$datadir"
  done
}

stage_1() { # Kaldi directories
  for part in "${parts[@]}"; do
    needs "$datadir/LibriSpeech/$part" 0
    logged "stage1_$part" python3 local/prepare_data.py "$datadir/LibriSpeech/$part" "$(directory "$part")"
  done
  combine "$train" "${train_parts[@]}"
  combine "$dev" "${dev_parts[@]}"
}

combine() { # combine <target> <parts...>
  local target=$1 sources=()
  shift
  (($# > 1)) || return 0
  for part in "$@"; do sources+=("$(directory "$part")"); done
  logged "stage1_$(basename "$target")" combine_data.sh "$target" "${sources[@]}"
  validate_data_dir.sh --no-feats "$target"
}

stage_2() { # CMVN
  needs "$train/wav.scp" 1
  logged stage2 python3 -m wenet_lite.bin.compute_cmvn --data-dir "$train" --config "$train_config" \
    --output "$train/global_cmvn" --jobs "$jobs"
}

stage_3() { # BPE model and lists
  needs "$train/text" 1
  logged stage3_bpe python3 -m wenet_lite.bin.train_bpe --text "$train/text" --vocab-size "$nbpe" \
    --model-type "$bpe_type" --output-dir "$lang"
  for directory in "$train" "$dev" "${tests[@]}"; do
    needs "$directory/text" 1
    logged "stage3_$(basename "$directory")" python3 -m wenet_lite.bin.make_list --data-dir "$directory" \
      --lang-dir "$lang" --output "$directory/data.list"
  done
}

stage_4() { # training
  needs "$train/global_cmvn" 2
  for file in "$train/data.list" "$dev/data.list" "$lang/units.txt"; do needs "$file" 3; done
  local gpus processes settings=() launcher=(python3)
  gpus=$(nvidia-smi --list-gpus 2>/dev/null | wc -l || true)
  ((num_gpus >= 0)) && gpus=$num_gpus
  processes=$((gpus > 0 ? gpus : nproc))
  if ((processes > 1)); then
    launcher=(python3 -m torch.distributed.run --standalone --nproc_per_node "$processes")
  fi
  ((gpus > 0)) || settings+=(--device cpu)
  for setting in $set; do settings+=(--set "$setting"); done
  logged stage4 "${launcher[@]}" -m wenet_lite.bin.train --config "$train_config" \
    --train-data "$train/data.list" --dev-data "$dev/data.list" --lang-dir "$lang" --cmvn "$train/global_cmvn" \
    --exp-dir "$exp" --set "seed=$seed" "${settings[@]}"
}

stage_5() { # checkpoint averaging
  needs "$exp/checkpoints" 4
  logged stage5 python3 -m wenet_lite.bin.average --exp-dir "$exp" --num "$average_num" --mode best --output "$average"
}

stage_6() { # decoding and scoring
  needs "$average" 5
  local directory name chunk results modes
  read -ra modes <<<"$decode_modes"
  for directory in "${tests[@]}"; do
    needs "$directory/data.list" 3
    name=$(basename "$directory")
    for chunk in $decode_chunks; do
      logged "stage6_${name}_chunk$chunk" python3 -m wenet_lite.bin.recognize --exp-dir "$exp" --checkpoint "$average" \
        --data "$directory/data.list" --result-dir "$exp/decode_$name" --modes "${modes[@]}" \
        --chunk-size "$chunk" --left-chunks "$left_chunks"
    done
    for results in "$exp/decode_$name"/*/; do
      python3 -m wenet_lite.bin.score --ref "$directory/text" --hyp "${results}text" --details "${results}details" \
        >"${results}wer.tmp"
      mv "${results}wer.tmp" "${results}wer"
    done
  done
  python3 -m wenet_lite.bin.report --exp-dir "$exp"
}

stage_7() { # export, and a first stream through it
  needs "$average" 5
  needs "${tests[0]}/data.list" 3
  logged stage7 python3 -m wenet_lite.bin.export --exp-dir "$exp" --checkpoint "$average" --format torchscript \
    --output "$exp/model" --check-data "${tests[0]}/data.list"
  local example
  example=$(head -n 1 "${tests[0]}/wav.scp" | cut -d ' ' -f 2-)
  echo "run.sh: wenet-lite transcribe egs/librispeech/$exp/model $example --streaming"
  python3 -m wenet_lite.bin.transcribe "$exp/model" "$example" --streaming
}

for ((current = stage; current <= stop_stage && current <= 7; current++)); do
  echo "run.sh: stage $current ($corpus)"
  "stage_$current"
done
