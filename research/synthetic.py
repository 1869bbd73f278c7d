"""Weights on whole synthetic photographs, as `hdmatt matte` would do them: what a training is steered by.

    python -m research.synthetic --data PACK [--model hdmatt-s --model OTHER.safetensors ...] [--pictures 24]

Composites of --side pixels with the light and the faults of photographs, drawn with a seed that no training uses and
matted whole, by patches with contexts and all that is known of the picture. Mean over the pictures, and median, of MAD
and MSE at unknown pixels, and the mean of the error with its sign (the bias), all times 1000. A short training moves
the bias first, and photographs feel it (see the log). MAD and MSE rank weights that were trained on the same pack with
the same `foreground_weight`; how good a matte is on pictures of other people, `hdmatt eval` says. Same pack, weights
and options: same numbers.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks import _shared
from hdmatt.evaluation import metrics
from hdmatt.inference.options import Options
from hdmatt.inference.strategies import matte_rows
from hdmatt.network.checkpoint import read_model
from hdmatt.network.model import HDMatt
from hdmatt.pictures.reader import ArrayReader
from hdmatt.pictures.trimap import UNKNOWN, open_trimap
from hdmatt.samples.config import SampleConfig
from hdmatt.samples.packs import Assets, load_assets
from hdmatt.samples.sample import Sample, make_sample
from hdmatt.training.validate import HELD_OUT

PHOTOGRAPHS = SampleConfig(
    scales=(1.0,), group=1, procedural=0.35, merge=0.05, similar=0.12, faults=0.4, band=24.0, wide=0.15, blunt=0.45,
    tone=(1.6, 2.2), elsewhere=0.0,
)  # fmt: skip


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True, help="asset pack; repeatable")
    parser.add_argument("--model", action="append", help="name or safetensors file; repeatable")
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--side", type=int, default=768, help="of a photograph, a multiple of 8, at most 960")
    parser.add_argument("--patch", type=int, default=320)
    parser.add_argument("--topk", type=int, default=7)
    given = parser.parse_args(arguments)
    photographs = list(drawn(load_assets(given.data), given.pictures, side=given.side))
    options = Options(patch=given.patch, overlap=given.patch // 5, topk=given.topk)
    table = []
    for name in given.model or ["hdmatt-s"]:
        found = np.array([scored(read_model(name), one, options) for one in photographs])
        means, medians = 1000 * found.mean(0), 1000 * np.median(found, 0)
        numbers = [f"{value:.1f}" for value in (means[0], medians[0], means[1], medians[1])]
        table.append([name, *numbers, f"{means[2]:+.1f}"])
    print(_shared.markdown(["weights", "MAD x 1000", "median", "MSE x 1000", "median", "bias x 1000"], table), end="")
    print(f"\n{len(photographs)} photographs of {given.side} pixels")
    return 0


def drawn(assets: Assets, number: int, *, side: int) -> Iterator[Sample]:
    """Photographs that have known and unknown pixels."""
    config, index = replace(PHOTOGRAPHS, patch=side), 0
    while number:
        sample = make_sample(assets, config, seed=HELD_OUT + 2, index=index)
        index += 1
        if 0 < (sample.trimap == UNKNOWN).mean() < 1:
            number -= 1
            yield sample


def scored(model: HDMatt, photograph: Sample, options: Options) -> tuple[float, float, float]:
    """MAD, MSE and bias (mean of matte - truth) of one photograph's matte at its unknown pixels, alpha in [0, 1]."""
    picture, trimap, truth = photograph.image[0], photograph.trimap[0], photograph.alpha[0]
    job = matte_rows("hdmatt", ArrayReader(picture), open_trimap(trimap), model, options)
    matte = (255 * np.concatenate([rows for _, rows in job.rows]) + 0.5).astype(np.uint8)
    unknown = trimap == UNKNOWN
    bias = float((matte[unknown] - truth[unknown].astype(float)).mean() / 255)
    return metrics.mad(matte, truth, trimap), metrics.mse(matte, truth, trimap), bias


if __name__ == "__main__":
    _shared.run(main)
