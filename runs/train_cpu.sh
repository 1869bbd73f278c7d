#!/usr/bin/env bash
# hdmatt-s from random weights, without a GPU.
#
#   runs/train_cpu.sh PACK [OUT]          PACK holds foregrounds*/ and backgrounds/ (docs/model-card.md)
#
# Hardware: two x86 cores with AMX (bf16); without AMX about four times slower.
# Hours:    1 h the first stage, 0.4 h the second.
# Expected: docs/model-card.md has the scores of the run that made the weights in the package.
#
# Each stage continues where it stopped when the script is run again.
set -euo pipefail
pack=$1
out=${2:-runs/out/cpu}

stage() { # NAME PRESET [INIT]
  local more=()
  if [ -f "$out/$1/state.safetensors" ]; then more=(--resume); elif [ $# -gt 2 ]; then more=(--init "$3"); fi
  hdmatt train --data "$pack" --preset "$2" --out "$out/$1" "${more[@]}"
}

stage 1-small cpu-128
stage 2-large cpu-192 "$out/1-small/model.safetensors"
