"""What training samples are like, as data. Knows no pictures and nothing of training.

SampleConfig   what is drawn, and how often
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen, MultipleOf

Chance = Annotated[float, Ge(0), Le(1)]
Positive = Annotated[float, Gt(0), Lt(float("inf"))]


@dataclass(frozen=True)
class SampleConfig:
    """What is drawn, and how often. The defaults are ours; `training.presets` has the paper's.

    Attributes:
        patch: Side of a training patch, in pixels.
        scales: Sides of the squares that are cut from a composite and resized to `patch`, as multiples of it: one is
            drawn (the paper's 320, 480, 640 are 1, 1.5, 2 at patch 320).
        group: Patches cut from one composite.
        layout: "placed": the foreground is scaled, turned, sheared and recoloured on a square of four patches' side
            (640 to 960 pixels). "whole": the composite is the foreground as it is, in its own size, over a photograph
            of that size, as in the paper.
        alike: All patches of a composite have one scale and are flipped together, like the patches of one photograph,
            and the trimap's bands are counted in pixels of the patch. False: each patch has its own scale and flip, as
            in the paper, and bands are counted in pixels of the composite.
        rotation: Largest angle by which each patch is turned, in degrees (paper: 15); beyond the composite's edge it is
            mirrored. What lies around a turned patch is not described: `Sample.surroundings` is None.
        longest: Pictures of a pack that are longer are shrunk to it when they are read, in pixels; 0: none is.
        procedural: Share of foregrounds that are drawn, not taken from a pack.
        drawn: Sides of the drawn foregrounds, in pixels; one is drawn. A small one that is placed on a larger square
            has soft edges and no strand thinner than a few pixels.
        merge: Chance that a second foreground joins the first (the paper composites two foregrounds).
        similar: Chance that the background takes the foreground's colour: its mean, or the colour that it has nearby,
            or (one in three) all of its colours, elsewhere and out of focus.
        shade: Chance that one side of a foreground lies in shade.
        smooth: Chance that foreground and background colours are blurred until hardly any texture is left: the easy
            case in which a pixel's alpha follows from its colour, for the start of a training.
        defocus: Chance that the photograph behind is out of focus.
        wall: Chance that it is nearly one colour, as a studio wall; at most 1 - `defocus`.
        faults: Chance of each camera fault.
        band: Largest radius, in pixels, by which the known parts are eroded (smallest: 1; log-uniform).
        wide: Chance of a very wide unknown band instead, 30 to 110 pixels.
        blunt: Chance that known parts narrower than 8 to 90 pixels are unknown, as in a trimap drawn by hand: nobody
            marks the holes of a net as background, or a strand as foreground.
        forgotten: Chance that the trimap marks neither holes nor separate pieces: what is enclosed by the foreground
            or lies apart from its largest piece is unknown, however wide, as where only the outside was traced.
        clutter: Chance that another foreground is part of the background.
        tone: Range of the exponent (log-uniform, one a sample) with which colours are mixed,
            C = (a F^t + (1 - a) B^t)^(1/t). 1 mixes display values, as the paper's composites do. Sensors add light,
            and a camera's curve comes after: in photographs it is about 2, and a half-covered pixel is brighter.
        canonical: Every picture is brought to this mixing: one that is mixed with the exponent `tone` is encoded by
            tone / canonical, so a network never has to guess how colours mix. 0: pictures stay as they are mixed.
        hollow: Chance of a net, a sieve, spines, glass or smoke over a busy background, unknown as a whole.
        attached: Chance of a solid thing beside, over or under the foreground, with a photograph as its texture and
            unknown as a whole.
        enlarged: Chance that a part of the composite is enlarged two to five times before the camera takes it.
        whole_picture: Whether the last patch of a group is the whole composite, shrunk to a patch.
        between: Chance that the last patch but one shows more than the others: of the scales between theirs and the
            whole composite, the middle one. Only with `whole_picture`.
        elsewhere: Chance that the last patch of a group is centred anywhere, so that plain F and B occur as context.
    """

    patch: Annotated[int, Ge(32), MultipleOf(32)] = 320
    scales: Annotated[tuple[Positive, ...], MinLen(1)] = (1.0, 1.5, 2.0)
    group: Annotated[int, Ge(1)] = 4
    layout: Literal["placed", "whole"] = "placed"
    alike: bool = True
    rotation: Annotated[float, Ge(0), Le(45)] = 0.0
    longest: Annotated[int, Ge(0)] = 1280
    procedural: Chance = 0.3
    drawn: Annotated[tuple[Annotated[int, Ge(64)], ...], MinLen(1)] = (480,)
    merge: Chance = 0.25
    similar: Chance = 0.15
    shade: Chance = 0.0
    smooth: Chance = 0.0
    defocus: Chance = 0.5
    wall: Chance = 0.07
    faults: Chance = 0.3
    band: Annotated[float, Ge(1), Lt(float("inf"))] = 30.0
    wide: Chance = 0.06
    blunt: Chance = 0.5
    forgotten: Chance = 0.0
    clutter: Chance = 0.0
    tone: tuple[Positive, Positive] = (1.0, 1.0)
    elsewhere: Chance = 0.4
    canonical: Annotated[float, Ge(0), Le(4)] = 0.0
    hollow: Chance = 0.0
    attached: Chance = 0.0
    enlarged: Chance = 0.0
    whole_picture: bool = False
    between: Chance = 0.0
