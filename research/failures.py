"""Known failures, as pictures: the samples on which the package's weights are worst, for the model card.

    python -m research.failures --data PACK [--model hdmatt-s] [--samples 80] [--lines 6] -o docs/images/failures.jpg

Draws samples of 320 pixels with a seed that no training uses, mattes each on its own, and shows those with the largest
mean error at unknown pixels: picture, trimap, truth, matte, error. The pictures of PACK appear in the sheet,
so use a pack that may be shown. Same pack, weights and options: same sheet.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from hdmatt.network.checkpoint import read_model
from hdmatt.network.inputs import network_input
from hdmatt.samples.config import SampleConfig
from hdmatt.samples.packs import load_assets
from hdmatt.samples.sample import Sample, make_sample
from hdmatt.training.curves import sample_sheet, save_jpeg
from hdmatt.training.validate import HELD_OUT

CONFIG = SampleConfig(patch=320, group=1, merge=0.0, band=24.0, wide=0.1, elsewhere=0.0)
LEAST_SURE = 500  # pixels of each class: without them a person could not tell either


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--model", default="hdmatt-s")
    parser.add_argument("--samples", type=int, default=80)
    parser.add_argument("--lines", type=int, default=6)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    model, assets = read_model(arguments.model), load_assets(arguments.data)
    scored: list[tuple[float, Sample, np.ndarray]] = []
    for index in range(arguments.samples):
        sample = make_sample(assets, CONFIG, seed=HELD_OUT + 1, index=index)
        unknown = sample.trimap[0] == 128
        if min((sample.trimap[0] == value).sum() for value in (0, 255)) < LEAST_SURE or unknown.sum() < LEAST_SURE:
            continue
        matte = _matte(model, sample)
        error = np.abs(matte.astype(np.float32) - sample.alpha[0])[unknown].mean() / 255
        scored.append((float(error), sample, matte))
    errors = [error for error, *_ in scored]
    print(f"{len(errors)} samples, mean absolute error at unknown pixels: {np.mean(errors):.4f}")
    worst = sorted(scored, key=lambda one: -one[0])[: arguments.lines]
    lines = [
        {"picture": s.image[0], "trimap": s.trimap[0], "truth": s.alpha[0], "matte": matte} for _, s, matte in worst
    ]
    print("shown, from the top: " + ", ".join(f"{error:.3f}" for error, *_ in worst))
    save_jpeg(sample_sheet(lines, caption=""), arguments.output)


def _matte(model: torch.nn.Module, sample: Sample) -> np.ndarray:
    """uint8; the sample has no other patches, so the context is empty."""
    inputs = network_input(torch.from_numpy(sample.image.astype(np.float32) / 255), torch.from_numpy(sample.trimap))
    with torch.inference_mode():
        alpha = model(inputs, [[]], surroundings=torch.from_numpy(sample.surroundings)).alpha[0, 0].numpy()
    alpha = np.where(sample.trimap[0] == 128, alpha, sample.trimap[0] / 255)
    return np.round(255 * alpha).astype(np.uint8)


if __name__ == "__main__":
    main()
