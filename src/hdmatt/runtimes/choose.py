"""Choice of the runtime and the precision that compute a network on a device.

    AUTO                the runtime that "auto" stands for on one CPU
    choose              "auto" or a name -> a runtime that works here
    choose_precision    "auto" or a name -> a precision that the runtime has
    has_bf16            whether bfloat16 is fast on this processor
    installed           whether a runtime's package is there

The names themselves are in names.py, which loads no torch.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch

from hdmatt.errors import InputError
from hdmatt.runtimes.devices import kind as kind_of
from hdmatt.runtimes.devices import names
from hdmatt.runtimes.graphs import SUFFIX
from hdmatt.runtimes.names import PRECISIONS, RUNTIMES

AUTO = "folded"  # the fastest on a CPU in benchmarks/results/runtimes.json, see docs/runtimes.md
COPIED = ("torch", "folded")  # runtimes whose networks can be copied to several devices


def choose(name: str, device: str = "cpu") -> str:
    """The runtime that a name stands for on one device or several ("cuda:0,cuda:1").

    "auto" is AUTO on a CPU, folded on CUDA and on several CPUs, and plain torch elsewhere.

    Raises:
        InputError: No such runtime, its package is not installed, or it does not run on the device.
    """
    kind, several = kind_of(device), len(names(device)) > 1
    if name == "auto":
        if kind == "cpu" and not several and installed(AUTO):
            return AUTO
        return "folded" if kind in ("cpu", "cuda") else "torch"
    if name not in RUNTIMES:
        raise InputError(f"there is no runtime {name!r}", hint=f"Choose one of: auto, {', '.join(RUNTIMES)}.")
    if several and name not in COPIED:
        raise InputError(
            f"the runtime {name!r} runs on one device, not on {device!r}",
            hint=f"Choose one of: auto, {', '.join(COPIED)}; or give one --device.",
        )
    if name in SUFFIX and kind != "cpu":
        raise InputError(
            f"the runtime {name!r} runs on the CPU, not on {device!r}",
            hint="Choose --runtime torch for this device, or --device cpu.",
        )
    if not installed(name):
        raise InputError(
            f"the runtime {name!r} needs packages that are not installed",
            hint="pip install 'hdmatt[export]', or choose one of: auto, torch, folded, compiled.",
        )
    return name


def choose_precision(name: str, runtime: str, device: str = "cpu") -> str:
    """The precision that a name stands for: "auto" is bf16 for the folded runtime where bfloat16 is fast, else fp32.

    It is fast on processors with AMX or, from AMD, AVX512-BF16, and on GPUs of compute capability 8.0 and above. Other
    runtimes did not get faster in bf16 (docs/runtimes.md), and processors that emulate bfloat16 get slower.

    Args:
        runtime: As `choose` gives it.

    Raises:
        InputError: No such precision, or the runtime does not have it.
    """
    if name == "auto":
        return "bf16" if runtime == "folded" and _multiplies_bf16(device) else "fp32"
    if name not in PRECISIONS:
        raise InputError(f"precision is {name!r}", hint=f"Choose one of: auto, {', '.join(PRECISIONS)}.")
    if name == "bf16" and runtime in ("torch", "onnx"):
        raise InputError(f"the runtime {runtime!r} computes in fp32", hint="bf16 takes folded, compiled or openvino.")
    return name


def has_bf16() -> bool:
    """Whether bfloat16 is faster than float32 on this processor. False when torch cannot tell.

    It is with AMX, and with AVX512-BF16 from AMD. On an Intel processor with AVX512-BF16 alone it was slower
    (docs/runtimes.md).
    """
    ask: Callable[[], dict[str, Any]] | None = getattr(torch.cpu, "get_capabilities", None)
    found = ask() if ask else {}
    wide = found.get("avx512_bf16") and "Intel" not in str(found.get("cpu_name", ""))
    return bool(found.get("amx_bf16") or wide)


def _multiplies_bf16(device: str) -> bool:
    if kind_of(device) == "cuda":
        here = torch.cuda.is_available()
        return here and all(torch.cuda.get_device_capability(name) >= (8, 0) for name in names(device))
    return kind_of(device) == "cpu" and has_bf16()


def installed(name: str) -> bool:
    """Whether a runtime's package is installed. To export graphs, `onnx` and `onnxscript` are needed as well."""
    return find_spec({"onnx": "onnxruntime", "openvino": "openvino"}.get(name, "torch")) is not None
