"""What a browser may send, by the paths of docs/studio.md. Knows no pictures.

Numbers are checked again by what they are used for; unknown names are refused.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from hdmatt.studio.strokes import MOST_POINTS

Text = Annotated[str, Field(max_length=1000)]
Name = Annotated[str, Field(max_length=255)]


class _RequestBody(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Client(_RequestBody):
    """Who asks: a name that a page gives itself, to know its own events."""

    client: Name = ""


class StrokeBody(Client):
    """A stroke, as hdmatt.Stroke has it."""

    kind: Name
    label: int
    points: Annotated[list[tuple[float, float, float]], Field(min_length=1, max_length=MOST_POINTS)]
    amount: float = 0.0


class PathBody(_RequestBody):
    """A file."""

    path: Text


class StartBody(Client):
    """What a first trimap is made from: one of these."""

    box: tuple[int, int, int, int] | None = None
    mask: Text | None = None
    alpha: bool = False
    scribbles: bool = False
    painted: bool = False


class BandBody(Client):
    """How wide the unknown band is: pixels, or percent as text."""

    inside: Name | float | None = None
    outside: Name | float | None = None
    automatic: bool = False


class SettingsBody(_RequestBody):
    """What stays until it is set anew; None: as it is."""

    automatic: bool | None = None
    near: tuple[float, float] | None = None
    background: Text | None = None  # a file below --root, behind composites over "picture"; "" takes it away


class SaveBody(_RequestBody):
    """The trimap's name in the folder of results."""

    name: Name
    overwrite: bool = True


class ExportBody(Client):
    """Names in the folder of results, and how the files are written; see hdmatt.Outputs."""

    alpha: Name | None = None
    foreground: Name | None = None
    cutout: Name | None = None
    composite: Name | None = None
    background: Text | None = None
    psd: Name | None = None
    layered: Name | None = None
    trimap: Name | None = None
    bit_depth: Literal["auto", "8", "16", "half", "float"] = "auto"
    clean: bool = False
    plate: bool = False
    quality: Annotated[int | None, Field(ge=1, le=100)] = None
    alpha_mode: Literal["straight", "premultiplied"] | None = None
    matte_range: tuple[float, float] | None = None
    invert: bool = False
    trim: bool = False
    palette: bool = False
    despill: Annotated[float, Field(ge=0, le=1)] = 0
    matte_for: Literal["linear", "display"] | None = None
    overwrite: bool = False
