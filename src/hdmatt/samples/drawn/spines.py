"""Spines, bristles and pins around a head or along a rod.

draw_spines    hedgehogs, thistles, burrs, brushes, pin cushions
"""

import numpy as np

from hdmatt.samples.drawn.colours import any_colour
from hdmatt.samples.drawn.light import shaded, uneven_light
from hdmatt.samples.drawn.shapes import blob_outline
from hdmatt.samples.drawn.strokes import TAU, Bend, Canvas, Colours, DrawnLayer, filled, grow_paths, laid_over


def draw_spines(rng: np.random.Generator, size: int, colours: Colours) -> DrawnLayer:
    """Straight or bent spines that leave a head in all directions, or a rod to both sides; two colours at most."""
    number, middle = int(rng.integers(60, 420)), size * rng.uniform(0.4, 0.6, 2)
    radius = size * rng.uniform(0.03, 0.16)
    if rng.random() < 0.3:  # a brush
        along = rng.uniform(-0.4, 0.4, number) * size
        turn = rng.uniform(0, TAU)
        roots = middle + along[:, None] * np.array([np.cos(turn), np.sin(turn)])
        heading = turn + TAU / 4 * rng.choice([-1, 1], number) + rng.normal(0, 0.25, number)
        ends = middle + np.array([[-0.4], [0.4]]) * size * np.array([np.cos(turn), np.sin(turn)])
        body = Canvas(size)
        body.ribbons(
            np.linspace(ends[0], ends[1], 12)[None], np.array([0.3 * radius + 2]), any_colour(rng)[None], taper=0
        )
        head = body.layer()
    else:
        heading = rng.uniform(0, TAU, number)
        away = radius * np.sqrt(rng.uniform(0.2, 1, number))
        roots = middle + away[:, None] * np.stack([np.cos(heading), np.sin(heading)], 1)
        heading = heading + rng.normal(0, 0.12, number)
        head = shaded(rng, filled(size, [blob_outline(rng, middle, radius, 0.1)]), colours)
    length = size * rng.uniform(0.12, 0.38) * rng.uniform(0.6, 1.2, number)
    bend = Bend(gravity=rng.uniform(0, 0.3), curl=rng.uniform(0, 0.3), waves=1, wobble=rng.uniform(0, 0.1))
    paths = grow_paths(rng, roots, heading, length, 12, bend)
    canvas, widths = Canvas(size), rng.uniform(0.8, 5) * size / 480 * rng.uniform(0.6, 1.3, number)
    tones = np.where(rng.random((number, 1)) < 0.5, any_colour(rng), any_colour(rng))
    tones = tones * rng.uniform(0.5, 1.25, (number, 1))
    canvas.ribbons(paths, widths, tones, taper=float(rng.uniform(0.3, 0.98)))
    layer = laid_over(canvas.layer(), head) if rng.random() < 0.5 else laid_over(head, canvas.layer())
    return uneven_light(rng, layer, rim=0.0)
