"""What shapes a network: the regions of a trimap as the network numbers them, and ModelConfig.

BACKGROUND, UNKNOWN, FOREGROUND    regions, numbered as the channels of the one-hot trimap
ModelConfig                        everything that shapes a network; one `width` number scales it
STRIDE                             pixels a side of one cell of the deepest features
"""

from dataclasses import dataclass
from typing import Literal

BACKGROUND, UNKNOWN, FOREGROUND = 0, 1, 2
REGIONS = (UNKNOWN, FOREGROUND, BACKGROUND)  # the order of f_U, f_F, f_B in the paper

Kind = Literal["none", "nonlocal", "tgnl"]
Form = Literal["strict", "literal"]

STRIDE = 8


@dataclass(frozen=True)
class ModelConfig:
    """Shape of a network. `width` 64 is the paper's size (hdmatt-r34), 32 a quarter of its work (hdmatt-s).

    Attributes:
        width: Channels of the first stage; all others scale with it.
        cpc: "none", "nonlocal" or "tgnl": the paper's models A, B and C.
        form: How eq. 3 treats pixels outside a region: "strict" or "literal" (see network/cpc.py).
        scaled: Logits times 1 / sqrt(key channels); False is the paper's literal text.
        normed: Batch norm of the keys (cpc.CPC.keys). Not in the paper.
        coarse: The inputs averaged over 8 x 8 pixels join what goes into layer2, and an alpha at stride 8, read after
            the context, joins the decoder's last stage. Needs `hints`. Not in the paper.
        hints: More input channels, computed from the six: the known colours around each pixel and what they say
            about its alpha (network/hints.py). Not in the paper.
        around: Whether the hints know the colours around the patch and the alpha carried over the picture, too.
            False: a patch learns of the rest of the picture by its context patches alone, as in the paper.
        patch: Side of the patches the weights were trained for, in pixels.
    """

    width: int = 64
    cpc: Kind = "tgnl"
    form: Form = "strict"
    scaled: bool = True
    normed: bool = False
    coarse: bool = False
    hints: bool = False
    around: bool = True
    patch: int = 320
