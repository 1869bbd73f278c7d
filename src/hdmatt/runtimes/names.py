"""The names of runtimes and precisions, for modules that must not load torch. Knows nothing of what they do."""

from typing import Literal, get_args

Runtime = Literal["auto", "torch", "folded", "compiled", "onnx", "openvino"]
Precision = Literal["auto", "fp32", "bf16"]

RUNTIMES: tuple[str, ...] = get_args(Runtime)[1:]
PRECISIONS: tuple[str, ...] = get_args(Precision)[1:]
