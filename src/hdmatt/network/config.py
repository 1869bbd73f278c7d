"""The shape of a network as data, and the numbers of a trimap's regions inside of it.

REGION_BACKGROUND, REGION_UNKNOWN, REGION_FOREGROUND    numbered as the channels of the one-hot trimap
REGIONS        the three, in the paper's order
STRIDE         pixels along a side of one cell of the deepest features
ModelConfig    everything that shapes a network
stored_config  of a file of weights, also of an earlier version
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

REGION_BACKGROUND, REGION_UNKNOWN, REGION_FOREGROUND = 0, 1, 2
REGIONS = (REGION_UNKNOWN, REGION_FOREGROUND, REGION_BACKGROUND)  # the order of f_U, f_F, f_B in the paper

Kind = Literal["none", "nonlocal", "tgnl"]
Form = Literal["strict", "literal"]

STRIDE = 8


@dataclass(frozen=True)
class ModelConfig:
    """Shape of a network. `width` 64 is the paper's size (hdmatt-r34), 32 a quarter of its work (hdmatt-s).

    The names stand in the files of weights and runs; `stored_config` knows those of earlier versions.

    Attributes:
        width: Channels of the first stage; all others scale with it.
        cpc: "none", "nonlocal" or "tgnl": the paper's models A, B and C.
        form: How eq. 3 treats pixels outside a region: "literal" is the paper's text, "strict" leaves them out
            (network/attention.py).
        scaled: Logits times 1 / sqrt(key channels); False is the paper's text.
        normed: Batch norm of the keys (network/cpc.py). Not in the paper.
        coarse: An alpha at stride 8, computed after the context, joins the decoder's last stage; and layer2 also gets
            the inputs averaged over 8 x 8 pixels. Needs `extra_channels`. Not in the paper.
        extra_channels: Extra input channels: the known colours around each pixel and the alpha they suggest
            (network/extra_channels.py). Not in the paper.
        surroundings: Whether the extra channels also know the patch's surroundings (overview/known_colours.py). False:
            the context patches alone tell a patch of the rest of the picture, as in the paper.
        patch: Side of the patches that the weights were trained for, in pixels.
    """

    width: int = 64
    cpc: Kind = "tgnl"
    form: Form = "strict"
    scaled: bool = True
    normed: bool = False
    coarse: bool = False
    extra_channels: bool = False
    surroundings: bool = True
    patch: int = 320

    @property
    def knows_surroundings(self) -> bool:
        """Whether there are extra channels, and they know what lies around a patch."""
        return self.extra_channels and self.surroundings


_EARLIER = {"hints": "extra_channels", "around": "surroundings"}  # names before version 0.9, and today's


def current_names(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a configuration with the names of this version."""
    return {_EARLIER.get(name, name): value for name, value in dict(stored).items()}


def stored_config(stored: Mapping[str, Any]) -> ModelConfig:
    """The configuration that a file of weights holds; fields that nobody knows are left out.

    Raises:
        TypeError: It is not a mapping of names.
    """
    known = {field.name for field in fields(ModelConfig)}
    return ModelConfig(**{name: value for name, value in current_names(stored).items() if name in known})
