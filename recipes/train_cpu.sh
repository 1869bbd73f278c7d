#!/usr/bin/env bash
# hdmatt-s from random weights, without a GPU.
#
#   recipes/train_cpu.sh PACK [OUT [OPTION ...]]      PACK holds foregrounds*/ and backgrounds/ (docs/model-card.md)
#
# The options go to every `hdmatt train`, like --threads 1. A dry run of a minute, in which each stage hands over:
#
#   NORMS=1 recipes/train_cpu.sh PACK runs/dry --threads 1 --set steps=3 --set held_out=1
#
# The weights are OUT/model.safetensors.
#
# Hardware: two x86 cores with AMX (bf16); with AVX512-BF16 alone a quarter slower, without either about four times.
# Hours:    about 1.1 h the first stage, 1.8 h the second, on one core (--threads 1) of an otherwise idle machine; 2.5 h
#           the third on two. Processors that are faster in fp32 compute in it (precision=auto).
# Expected: SAD about 3.4 on alphamatting-dev trimap1: the presets are those of the best stages of the weights in the
#           package, which had 3.36 after the last of these, on the way from older ones (docs/model-card.md has it and
#           the scores); from random weights only the dry run has been to its end.
#
# Each stage continues where it stopped when the script is run again.
set -euo pipefail
pack=$1
out=${2:-runs/cpu}
options=("${@:3}")

stage() { # NAME PRESET [INIT]
  local more=()
  if [ -f "$out/$1/state.safetensors" ]; then more=(--resume); elif [ $# -gt 2 ]; then more=(--init "$3"); fi
  hdmatt train --data "$pack" --preset "$2" --out "$out/$1" "${more[@]}" "${options[@]}"
}

stage 1-small cpu-128
stage 2-large cpu-160 "$out/1-small/model.safetensors"
# what the network is used on: norms counted on patches of 320, then a stage of these with the norms as they are, on both cores
hdmatt train norms "$out/2-large/model.safetensors" --data "$pack" -o "$out/2-large/norms.safetensors" \
  --set sample.scales=0.5,0.75,1,1.5 --count "${NORMS:-40}"
options+=(--devices 2 --threads 1)
stage 3-whole cpu-320 "$out/2-large/norms.safetensors"
cp "$out/3-whole/model.safetensors" "$out/model.safetensors"
