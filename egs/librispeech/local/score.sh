#!/usr/bin/env bash
# Scores every result of a decoding directory: score.sh <data dir> <decode dir> <exp or lang dir>; leaves wer, details
# and report.html beside each text. References go through the text rules of that folder, as transcripts do in training.
set -euo pipefail
data=$1
decode=$2
rules=$3
for text in "$decode"/*/text; do
  result=$(dirname "$text")
  python3 -m wenet_lite.bin.score --ref "$data/text" --hyp "$text" --rules "$rules" --details "$result/details" \
    --html "$result/report.html" --nbest "$result/nbest.jsonl" --audio "$data/wav.scp" >"$result/wer.tmp"
  mv "$result/wer.tmp" "$result/wer"
  echo "$result: $(head -n 1 "$result/wer")"
done
