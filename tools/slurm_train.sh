#!/usr/bin/env bash
# Trains on several hosts under Slurm. From the project's root, with the arguments of wenet-lite train:
#   sbatch --nodes 4 --gpus-per-node 8 tools/slurm_train.sh --config conf/u2pp_conformer_3m.yaml --exp-dir exp/big ...
# Five minutes before its time is up, the run saves, stops and is queued again; so it is when a node fails. Options of
# sbatch go before the script, and win over those below. RESTARTS is how often lost processes are started again (3).
#SBATCH --job-name=wenet_lite
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@300
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

if [[ -z ${SLURM_JOB_ID:-} || ! -f $SLURM_SUBMIT_DIR/path.sh ]]; then
  echo "slurm_train.sh: submit it from the project's root: sbatch tools/slurm_train.sh --config ..." >&2
  exit 1
fi
cd "$SLURM_SUBMIT_DIR" # Slurm runs a copy of this script, elsewhere
# shellcheck source=../path.sh
. ./path.sh

hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
port=$((20000 + SLURM_JOB_ID % 10000))
status=0
srun --kill-on-bad-exit=0 --cpus-per-task="$SLURM_CPUS_ON_NODE" python3 -m wenet_lite.bin.launch \
  --nnodes "$SLURM_NNODES" --rdzv-endpoint "${hosts%%$'\n'*}:$port" --rdzv-id "$SLURM_JOB_ID" \
  --max-restarts "${RESTARTS:-3}" "$SLURM_GPUS_ON_NODE" wenet_lite.bin.train "$@" || status=$?
if ((status == 75)); then # saved and stopped: it goes on when its turn comes again
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
