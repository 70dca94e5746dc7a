#!/usr/bin/env bash
# Scores every result of a decoding directory: score.sh <data dir> <decode dir>; leaves wer and details beside each text.
set -euo pipefail
data=$1
decode=$2
for text in "$decode"/*/text; do
  result=$(dirname "$text")
  python3 -m wenet_lite.bin.score --ref "$data/text" --hyp "$text" --details "$result/details" >"$result/wer.tmp"
  mv "$result/wer.tmp" "$result/wer"
  echo "$result: $(head -n 1 "$result/wer")"
done
