"""Patches decoded: features, contexts and alpha of one batch, on one device.

Knows patches that were uploaded and the context pool; nothing of their order or of where their alpha goes.

    decode_patches    a batch of patches -> their alpha
    check_finite      refuses answers that are not numbers
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from hdmatt.errors import ModelError
from hdmatt.inference import transfer
from hdmatt.inference.device_workers import DeviceWorker, UploadedPatches, uploaded_inputs
from hdmatt.inference.options import Plan
from hdmatt.inference.pool import ContextPool, bodies_of, select_contexts, stems_of
from hdmatt.network.inputs import labels
from hdmatt.patches.windows import Window


def decode_patches(
    plan: Plan,
    piece: UploadedPatches,
    worker: DeviceWorker,
    pool: ContextPool,
    go_on: Callable[[], None] = lambda: None,
) -> transfer.Download:
    """Alpha of a batch of patches, on its way back from the device: encode, choose contexts, decode.

    Args:
        go_on: Called before and after the encoder's body; what it raises ends the work.
    """
    windows = piece.windows
    with worker.computing():
        inputs, surroundings = uploaded_inputs(worker, piece.upload)
        stem = stems_of(windows, inputs, surroundings, worker, pool)
        go_on()
        body = bodies_of(windows, stem, worker, pool)
        go_on()
        contexts = select_contexts(plan, windows, body, labels(inputs), worker.model, pool)
        alpha = worker.model.decode(stem, body, contexts).alpha[:, 0].float()
    worker.counters.decoded += len(windows)
    with torch.inference_mode():
        return worker.link.download(alpha)


def check_finite(alphas: np.ndarray, windows: Sequence[Window]) -> None:
    """Raise ModelError when the network's answer for these windows is not a number."""
    if not np.isfinite(alphas).all():
        raise ModelError(
            f"the network gave values that are no numbers, for the patch at {windows[0]}",
            hint="Try --precision fp32. If that fails too, the weights are damaged.",
        )
