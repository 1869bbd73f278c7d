"""Float32 computed in float32: torch's faster modes (TF32, bfloat16) are switched off while a patch is computed.

By default cuDNN rounds the factors of a float32 convolution to 10 bits (TF32), and a program may have allowed TF32 or
bfloat16 for matrix products. TF32 in the first convolution alone moves pooling indices, and alpha by up to 0.015
(docs/runtimes.md).

The switches belong to the whole process. So they are changed only while something is computed here. Afterwards they
are as the program had set them, also with several runs in several threads, and with a run that nobody finishes.

    exact_float32    a block without rounding
"""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch


class _Switch(NamedTuple):
    read: Callable[[], Any]
    write: Callable[[Any], object]
    exact: Any  # the value that rounds nothing


_lock = threading.Lock()
_inside = 0  # blocks of `exact_float32` that are open
_before: list[tuple[_Switch, Any]] = []  # what the first of them found


@contextmanager
def exact_float32() -> Generator[None]:
    """A block in which products of float32 numbers are not rounded. Blocks of several threads may overlap."""
    global _inside
    with _lock:
        if not _inside:
            _before[:] = _values()
            for switch, _ in _before:
                switch.write(switch.exact)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                for switch, value in _before:
                    switch.write(value)


def _values() -> list[tuple[_Switch, Any]]:
    """The switches and their values.

    Writing an old switch also writes new ones, so the old ones come first. An old one cannot be read (RuntimeError)
    once the program has given a new one a value that the old one does not know; then the new ones are enough.
    """
    found: list[tuple[_Switch, Any]] = []
    for switch in _switches():
        try:
            found.append((switch, switch.read()))
        except RuntimeError:
            continue
    return found


def _switches() -> list[_Switch]:
    backends: Any = torch.backends
    old = [
        _attribute(backends.cuda.matmul, "allow_tf32", False),
        # after allow_tf32, which cannot distinguish "high" from "medium"
        _Switch(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest"),
        _attribute(backends.cudnn, "allow_tf32", False),
    ]
    new = [backends.cuda.matmul]  # torch >= 2.9
    new += [getattr(backends.cudnn, "conv", None)]
    new += [getattr(backends.mkldnn, name, None) for name in ("conv", "matmul")]  # oneDNN, on a CPU
    return old + [_attribute(one, "fp32_precision", "ieee") for one in new if hasattr(one, "fp32_precision")]


def _attribute(owner: Any, name: str, value: Any) -> _Switch:
    return _Switch(lambda: getattr(owner, name), lambda chosen: setattr(owner, name, chosen), value)
