"""Render foregrounds with exact soft alpha in Blender: training data that is all ours.

    blender -b --python-exit-code 1 --python recipes/render_foregrounds.py -- \
        OUT FIRST_SEED COUNT SIZE SAMPLES [--family NAME]

Hardware:  a CPU; Debian's Blender 3.4 is enough, no add-on, no asset, no NumPy.
Time:      at size 640 and 64 samples, of one Xeon core: 130 s a head of hair or two veils, 80 s a coat, 14 s a toy;
           about a minute in the mean. At size 256 and 8 samples, for a look: 1 to 5 s.
Expected:  OUT/<family>_<seed>.png, SIZE x SIZE, straight 8-bit sRGB RGBA on a transparent film; one seed is one
           picture, the same again by the same version of this file on the same Blender. What is there is skipped,
           what is being written has another name: stop it and start it again as you like. Then
           recipes/pack_foregrounds.py.

recipes/make_pack.sh renders all families with it. Without --python-exit-code Blender says 0 whatever happened.

Seeds 1000 to 4999 belong to another renderer; use 200000 and up. Read top to bottom:

    main                 the seeds, one after another
    FAMILIES             what is drawn, and how often
    hair ... toy         one function a family; each builds an object about 2 units wide around the origin
    stage                camera, lights, sampling
    strands, mesh, ...   geometry from lists of points
    strand_material ...  shaders

Hair, yarn, wires and barbs are Cycles hair curves, not meshes: 20000 strands cost a second and a half. Blender 3.4 has
no Python call that fills them, so a geometry node copies them from a legacy curve object.
"""

import argparse
import bisect
import colorsys
import itertools
import math
import os
import random
import sys
import time
from collections.abc import Callable, Iterable, Sequence

import bpy
from mathutils import Matrix, Vector, noise

TAU = 2 * math.pi
UP = Vector((0, 0, 1))
HEAD = 0.2  # how high a head sits
Path = list[Vector]
Colour = tuple[float, float, float]


def main() -> None:
    parser = argparse.ArgumentParser(prog="render_foregrounds.py")
    parser.add_argument("out")
    for name in ("first_seed", "count", "size", "samples"):
        parser.add_argument(name, type=int)
    parser.add_argument("--family", choices=sorted(FAMILIES), help="only this one")
    parser.add_argument("--threads", type=int, default=0, help="0: all")
    own = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []  # the rest is Blender's
    args = parser.parse_args(own)
    os.makedirs(args.out, exist_ok=True)
    for seed in range(args.first_seed, args.first_seed + args.count):
        rng = random.Random(seed)
        family = rng.choices(list(FAMILIES), [share for _, share in FAMILIES.values()])[0]
        family = args.family or family
        path = os.path.join(args.out, f"{family}_{seed:06d}.png")
        if os.path.exists(path):
            continue
        start = time.time()
        noise.seed_set(seed + 1)  # 0 would mean: from the clock
        stage(rng, size=args.size, samples=args.samples * (2 if family in STOCHASTIC else 1), threads=args.threads)
        FAMILIES[family][0](rng)
        lens(rng)
        bpy.context.scene.render.filepath = path + ".part.png"
        bpy.ops.render.render(write_still=True)
        os.replace(path + ".part.png", path)
        print(f"rendered {path} in {time.time() - start:.1f} s", flush=True)


# ------------------------------------------------------------------------------------------------- families


def hair(rng: random.Random) -> None:
    """A head with hair: straight, wavy or curly, long or short, in the wind, with a pony tail or a bun."""
    scale = Vector((rng.uniform(0.5, 0.6), rng.uniform(0.55, 0.68), rng.uniform(0.68, 0.8)))
    head = ball(Vector((0, 0, HEAD)), scale)
    skin = surface(rng, skin_colour(rng), rough=(0.35, 0.7), pattern=0)
    paint(head, skin)
    if rng.random() < 0.75:
        shoulders(rng, skin)
    curl = rng.choice([0, 0, rng.uniform(0.15, 0.5), rng.uniform(0.7, 1.6)])
    length = rng.choice(
        [
            rng.uniform(0.25, 0.5),
            rng.uniform(0.6, 1.2),
            rng.uniform(0.9, 1.6),
            rng.uniform(0.9, 1.6),
            rng.uniform(1.4, 2.2),
        ]
    )
    habit = Habit(
        gravity=rng.uniform(0.5, 2.2) if rng.random() < 0.85 else -rng.uniform(0.2, 0.8),
        curl=curl,
        turns=rng.uniform(1.5, 6) * length,
        wobble=rng.uniform(0.03, 0.3),
        wind=Vector((rng.uniform(-1, 1), rng.uniform(-0.3, 0.3), rng.uniform(0, 0.5))) * rng.choice([0, 0, 0.5, 1.2]),
    )
    away = rng.random() < 0.3  # seen from behind: hair all round
    tied = rng.choice(["no", "no", "no", "no", "tail", "bun"])
    paths = []
    locks = [Lock(rng) for _ in range(int(rng.uniform(25, 160)))]
    clump, lift, parting = rng.uniform(0.1, 0.6), rng.uniform(0.15, 0.8), rng.gauss(0, 0.12)
    for root, normal in on_surface(rng, head, int(rng.uniform(14000, 24000))):
        face = root.y < -0.05 and root.z < HEAD + scale.z * rng.gauss(0.5, 0.04)
        if root.z < HEAD - 0.75 * scale.z or (face and not away):
            continue
        lock = locks[int((noise.noise(root * 5) * 0.5 + 0.5) * 997) % len(locks)]
        if tied == "no":
            part = Vector((min(max(6 * (root.x - parting), -0.6), 0.6), 0.1, 0))
            down = (normal * normal.z - UP) * (1 - lift)  # along the scalp
            paths.append(
                grow(rng, root, normal * lift + down + part + lock.lean * clump, length, habit, lock, steps=16)
            )
            keep_out(paths[-1], head, 1.03)
        else:  # combed to one place behind the head
            knot = Vector((0, 0.4 * scale.y, HEAD + 1.05 * scale.z))
            paths.append(arc(root, knot + rng_vector(rng, 0.06), bulge=normal * 0.25, steps=9))
    knot = Vector((0, 0.4 * scale.y, HEAD + 0.05 + 1.05 * scale.z))
    if tied == "tail":
        loose = Habit(gravity=rng.uniform(1, 2), curl=curl, turns=3 * length, wobble=0.15)
        for _ in range(1800):
            side = Vector((rng.gauss(0, 0.35) + 0.5, 0.1, 1))
            paths.append(
                grow(rng, knot + rng_vector(rng, 0.06), side, length + 0.5, loose, rng.choice(locks), steps=16)
            )
    elif tied == "bun":
        paths += coil(rng, knot + Vector((0, 0, 0.12)), rng.uniform(0.14, 0.24), 900)
    wild = Habit(gravity=0.4, curl=0.3 + curl, turns=3, wobble=0.7, wind=habit.wind)
    for root, normal in on_surface(rng, head, int(rng.uniform(60, 500))):
        if root.z > HEAD + 0.05:
            paths.append(
                grow(rng, root, normal + rng_vector(rng, 0.5), min(length, 0.9) * rng.uniform(0.3, 1), wild, Lock(rng))
            )
    strands(paths, rng.uniform(0.002, 0.0045), strand_material(rng, hair_colour(rng)), rng=rng)


def braid(rng: random.Random) -> None:
    """One to three braids, hanging or laid, with hairs that came loose."""
    material = strand_material(rng, hair_colour(rng))
    paths: list[Path] = []
    for _ in range(rng.choice([1, 1, 2, 3])):
        thick, turns, long = rng.uniform(0.1, 0.2), rng.uniform(4, 8), rng.uniform(1.8, 2.6)
        foot, lean, sway = (
            Vector((rng.uniform(-0.7, 0.7), rng.uniform(-0.2, 0.2), 1.25)),
            rng.uniform(-0.25, 0.25),
            rng.uniform(0, 0.2),
        )

        def spine(t: float, foot: Vector = foot, lean: float = lean, sway: float = sway, long: float = long) -> Vector:
            return foot + Vector((lean * long * t + sway * math.sin(4 * t), 0.1 * math.sin(3 * t), -long * t))

        for lock in range(3):
            phase = TAU * lock / 3
            for _ in range(320):
                angle, away, spin = rng.uniform(0, TAU), math.sqrt(rng.random()) * thick * 0.62, rng.uniform(0.2, 0.8)
                path = []
                for step in range(90):
                    t = step / 89
                    slim = 1 - 0.5 * t
                    turn = TAU * turns * t / 2 + phase
                    centre = Vector((math.sin(turn) * thick, math.sin(2 * turn) * 0.5 * thick, 0)) * slim
                    own = angle + spin * turn
                    path.append(spine(t) + centre + around(own) * away * slim)
                paths.append(path)
        wild = Habit(gravity=0.5, curl=0.4, turns=2, wobble=0.5)
        for _ in range(rng.randint(60, 400)):
            at = spine(rng.random()) + rng_vector(rng, thick * 1.3)
            paths.append(grow(rng, at, rng_vector(rng, 1) - UP * 0.7, rng.uniform(0.08, 0.4), wild, Lock(rng), steps=8))
        tuft = Habit(gravity=0.5, curl=0.1, turns=1, wobble=0.25)
        for _ in range(500):
            at = spine(1) + rng_vector(rng, 0.35 * thick)
            paths.append(
                grow(
                    rng,
                    at,
                    Vector((rng.gauss(0, 0.25), rng.gauss(0, 0.25), -1)),
                    rng.uniform(0.15, 0.4),
                    tuft,
                    Lock(rng),
                    steps=8,
                )
            )
        tie = tube_mesh([spine(0.985 + 0.03 * k) for k in range(2)], 0.5 * thick)
        paint(tie, surface(rng, any_colour(rng)))
    strands(paths, rng.uniform(0.002, 0.0045), material, rng=rng)


def coat(rng: random.Random) -> None:
    """An animal's or a plush toy's coat: long or short, plain, spotted, striped or with pale tips."""
    bodies = creature(rng)
    short = rng.random() < 0.45
    length = rng.uniform(0.04, 0.1) if short else rng.uniform(0.12, 0.4)
    base, second = hair_colour(rng), hair_colour(rng)
    pattern = rng.choice(["plain", "plain", "spots", "stripes", "patches"])
    material = strand_material(rng, base, second=None if pattern == "plain" else second, pattern=pattern)
    under = surface(rng, tuple(0.5 * value for value in base), rough=(0.8, 1), pattern=0)
    comb = Vector((rng.gauss(0, 0.3), -0.1, -rng.uniform(0, 1.2)))
    habit = Habit(
        gravity=rng.uniform(0, 0.9),
        curl=rng.choice([0, 0, rng.uniform(0.3, 1.4)]),
        turns=rng.uniform(0.5, 2),
        wobble=rng.uniform(0.02, 0.4),
    )
    tufts, fine = rng.uniform(0, 0.7), rng.uniform(3, 9)
    count = int(rng.uniform(14000, 24000) * (1.4 if short else 1))
    total = sum(area(body) for body in bodies)
    paths = []
    for body in bodies:
        paint(body, under)
        for root, normal in on_surface(rng, body, int(count * area(body) / total)):
            swirl = noise.noise_vector(root * fine) * tufts
            lean = normal * rng.uniform(0.6, 1) + comb * (1 - abs(normal.z) * 0.4) + swirl
            paths.append(
                grow(rng, root - normal * 0.01, lean, length * rng.uniform(0.5, 1.2), habit, Lock(rng, 0.1), steps=7)
            )
    strands(paths, rng.uniform(0.0025, 0.006), material, rng=rng)
    if rng.random() < 0.6:
        black = surface(rng, (0.01, 0.01, 0.01), rough=(0.05, 0.2), pattern=0)
        head = bodies[-1]
        size = min(head.dimensions) / 2
        for x, z in ((-0.38, 0.2), (0.38, 0.2), (0, -0.15)):
            there = Vector((x, -math.sqrt(1 - x * x - z * z), z)) * size * 1.02
            paint(ball(head.location + there, Vector((1, 0.7, 1)) * size * 0.11), black)


def knit(rng: random.Random) -> None:
    """Knitwear: a scarf, a hat or a sleeve of looped yarn, fuzzy, often with a fringe."""
    wide, rows = rng.randint(14, 28), rng.randint(12, 26)
    pitch = 2.0 / wide
    around, bend = rng.choice([0.0, 0.6, 1.0, 1.9]), rng.uniform(0.05, 0.35)
    shift = Vector((rng.random() * 40, rng.random() * 40, 0))

    def lay(x: float, y: float, z: float) -> Vector:
        """The flat cloth laid around a tube, and crumpled."""
        fold = noise.noise(Vector((x, y, 0)) * 1.1 + shift) * bend
        if not around:
            return Vector((x + fold * 0.3, z + fold, y))
        turn, radius = x * around / 0.7, 0.8 / around**0.5 + z
        return Vector((math.sin(turn) * radius, -math.cos(turn) * radius + fold, y + 0.4 * fold))

    yarn, plies = pitch * rng.uniform(0.2, 0.27), 5
    paths: list[Path] = []
    fuzz: list[Path] = []
    soft = Habit(curl=0.6, turns=1, wobble=0.8)
    for row in range(rows):
        centre: Path = []
        for step in range(wide * 14):
            t = TAU * step / 14
            x = (t / TAU + 0.22 * math.sin(2 * t)) * pitch - 1
            y = (row - rows / 2) * pitch * 0.72 + 0.62 * pitch * math.cos(t)
            centre.append(lay(x, y, 0.26 * pitch * math.cos(2 * t)))
        paths += twist(centre, yarn, plies)
        for _ in range(int(rng.uniform(0.5, 3) * wide)):
            fuzz.append(
                grow(rng, rng.choice(centre), rng_vector(rng, 1), yarn * rng.uniform(1, 4), soft, Lock(rng), steps=6)
            )
    if rng.random() < 0.6:
        hang = Habit(gravity=1.2, wobble=0.25)
        bottom = -rows / 2 * pitch * 0.72
        for k in range(wide):
            centre = grow(
                rng,
                lay(k * pitch - 1, bottom, 0),
                Vector((rng.gauss(0, 0.2), 0, -1)),
                rng.uniform(0.3, 0.6),
                hang,
                Lock(rng),
                steps=20,
            )
            paths += twist(centre, yarn, plies)
    colours = [any_colour(rng) for _ in range(rng.choice([1, 1, 2]))]
    strands(
        paths,
        yarn * 0.5,
        strand_material(rng, colours[0], second=colours[-1], pattern="stripes", soft=True),
        rng=rng,
        taper=0,
    )
    strands(fuzz, yarn * 0.03 + 0.0012, strand_material(rng, colours[0], soft=True), rng=rng)


def wheel(rng: random.Random) -> None:
    """Bicycle wheels with thin spokes, a piece of frame; sometimes an umbrella's or a fan's ribs."""
    metal = surface(rng, (0.6, 0.6, 0.62), rough=(0.1, 0.4), metallic=1, pattern=0)
    rubber = surface(rng, (0.02, 0.02, 0.022), rough=(0.5, 0.9), pattern=0)
    frame = surface(rng, any_colour(rng), rough=(0.1, 0.4), pattern=0)
    for number in range(rng.choice([1, 1, 2])):
        radius, count = rng.uniform(0.75, 1.1), rng.choice([16, 20, 28, 36])
        place = Matrix.Translation(
            Vector((rng.uniform(-0.5, 0.5) + number * 1.3, 0.3 * number, rng.uniform(-0.3, 0.2)))
        )
        place @= Matrix.Rotation(rng.uniform(-1.0, 1.0), 4, "Z") @ Matrix.Rotation(rng.uniform(-0.3, 0.3), 4, "X")
        cross, start = rng.choice([0, 0.9]), rng.uniform(0, TAU)
        spokes = []
        for k in range(count):
            turn, side = start + TAU * k / count, (-1) ** k
            inner = turn + side * cross
            hub = Vector((0.08 * math.cos(inner), 0.07 * (-1) ** (k // 2), 0.08 * math.sin(inner)))
            spokes.append([place @ hub, place @ Vector((radius * math.cos(turn), 0, radius * math.sin(turn)))])
        strands(spokes, rng.uniform(0.003, 0.009), metal, rng=rng, taper=0)
        ring = [Vector((math.cos(TAU * k / 72), 0, math.sin(TAU * k / 72))) for k in range(73)]
        paint(tube_mesh([place @ (p * radius) for p in ring], 0.025), metal)
        paint(tube_mesh([place @ (p * (radius + 0.055)) for p in ring], rng.uniform(0.03, 0.07)), rubber)
        paint(tube_mesh([place @ Vector((0, y, 0)) for y in (-0.1, 0.1)], 0.06), metal)
        if rng.random() < 0.7:
            for y in (-0.13, 0.13):
                end = Vector((rng.uniform(-0.9, 0.9), y, 1.5))
                paint(tube_mesh([place @ Vector((0, y, 0)), place @ end], 0.025), frame)


def fence(rng: random.Random) -> None:
    """Chain link, wire mesh, a fishing net or a string bag, before or around nothing at all."""
    kind = rng.choice(["link", "link", "mesh", "net"])
    cells = rng.randint(4, 15)
    pitch = 3.0 / cells
    shift, crumple = (
        Vector((rng.random() * 40, 0, 0)),
        rng.uniform(0.02, 0.12) if kind != "net" else rng.uniform(0.2, 0.6),
    )
    wire = pitch * rng.uniform(0.015, 0.07)

    def lay(x: float, y: float, z: float) -> Vector:
        return Vector((x, z, y)) + noise.noise_vector(Vector((x, y, 0)) * 0.9 + shift) * crumple

    paths: list[Path] = []
    n = cells + 1
    if kind == "link":
        for k in range(2 * n):
            x = (k - n + 0.5) * pitch
            zigzag = []
            for step in range(8 * n):
                t = step / 4
                phase = t % 2
                swing = min(phase, 2 - phase) * 1.06 - 0.53
                bow = 0.9 * wire * math.cos(math.pi * t)
                zigzag.append(lay(x + swing * pitch * (1 if k % 2 else -1), (t / 2 - n / 2) * pitch, bow))
            paths.append(zigzag)
    else:
        turn = rng.choice([0, math.pi / 4])
        for k in range(-n, n + 1):
            for flip in (False, True):
                line = []
                for step in range(-6 * n, 6 * n + 1):
                    u, v = (k * pitch, step * pitch / 6) if flip else (step * pitch / 6, k * pitch)
                    x, y = u * math.cos(turn) - v * math.sin(turn), u * math.sin(turn) + v * math.cos(turn)
                    if max(abs(x), abs(y)) < 1.5:
                        weave = wire * math.cos(math.pi * (step / 6 + k)) * (1 if flip else -1)
                        line.append(lay(x, y, weave))
                if len(line) > 1:
                    paths.append(line)
    if kind == "net":
        material = strand_material(rng, any_colour(rng), soft=True)
    else:
        material = surface(
            rng,
            rng.choice([(0.5, 0.5, 0.52), (0.05, 0.2, 0.08), any_colour(rng)]),
            rough=(0.2, 0.6),
            metallic=0.8,
            pattern=0,
        )
    strands(paths, wire, material, rng=rng, taper=0)
    if rng.random() < 0.7:
        post = surface(rng, any_colour(rng))
        for x in rng.sample([-1.5, 0.0, 1.5], rng.choice([1, 2])):
            paint(tube_mesh([lay(x, -1.6, 0.06), lay(x, 1.6, 0.06)], rng.uniform(0.03, 0.09)), post)


def basket(rng: random.Random) -> None:
    """A wire basket, a mesh cup, a bowl, a cage: bright or lacquered, its far side seen through the near one."""
    rows, columns = rng.randint(4, 28), rng.randint(16, 76)
    weave = rng.choice(["square", "square", "diamond", "diamond", "rods"])
    low, high, tall = rng.uniform(0.45, 1.0), rng.uniform(0.6, 1.1), rng.uniform(0.9, 2.4)
    power = rng.choice([2.0, 2.0, 2.0, 6.0])  # of a superellipse: round or boxy
    bowl = rng.random() < 0.25
    dent, shift = rng.choice([0.0, rng.uniform(0.02, 0.08)]), Vector((rng.random() * 40, 0, 0))
    tilt = Matrix.Rotation(rng.gauss(0.15, 0.3), 4, "X") @ Matrix.Rotation(rng.uniform(0, TAU), 4, "Z")

    def lay(turn: float, t: float) -> Vector:
        """A place on the wall: `turn` in turns around it, `t` from the foot (0) to the rim (1)."""
        angle = TAU * turn
        widen, height = (math.sin(0.5 * math.pi * t), 1 - math.cos(0.5 * math.pi * t)) if bowl else (t, t)
        radius = (0.15 if bowl else low) * (1 - widen) + high * widen
        radius /= (abs(math.cos(angle)) ** power + abs(math.sin(angle)) ** power) ** (1 / power)
        at = around(angle, radius, tall * (height * (0.6 if bowl else 1) - 0.4))
        return tilt @ (at + noise.noise_vector(at * 1.5 + shift) * dent)

    surroundings(rng)
    metal = surface(
        rng,
        rng.choice([hsv(0.1, rng.uniform(0, 0.2), rng.uniform(0.5, 0.9)), (0.02, 0.02, 0.02), any_colour(rng)]),
        rough=(0.08, 0.5),
        metallic=rng.choice([1.0, 1.0, 0.0]),
        pattern=0,
        vary=0,
    )
    if weave == "rods":  # round wires upright, held by a few rings
        wire = rng.uniform(0.006, 0.02)
        uprights = [[lay(c / columns, k / 12) for k in range(13)] for c in range(columns)]
        rings = [[lay(c / 72, t) for c in range(73)] for t in (rng.random() for _ in range(rng.randint(1, 4)))]
        strands([*uprights, *rings], wire, metal, rng=rng, taper=0)
    else:
        step = 0.5 if weave == "diamond" else 0.0  # every second row is shifted by half a mesh
        points = [lay((c + step * (r % 2)) / columns, r / rows) for r in range(rows + 1) for c in range(columns)]
        faces = ring_faces(rows + 1, columns)
        if weave == "diamond":
            faces = [
                (
                    r * columns + c,
                    (r + 1) * columns + (c + r % 2) % columns,
                    (r + 2) * columns + c,
                    (r + 1) * columns + (c + r % 2 - 1) % columns,
                )
                for r in range(rows - 1)
                for c in range(columns)
            ]
        wall = mesh(points, faces)
        paint(wall, metal)
        wire = wall.modifiers.new("wire", "WIREFRAME")
        wire.thickness = min(tall / rows, TAU * high / columns) * rng.uniform(0.1, 0.45)
    for t, thick in ((0.0, rng.uniform(0.01, 0.03)), (1.0, rng.uniform(0.015, 0.05))):
        paint(tube_mesh([lay(c / 72, t) for c in range(73)], thick), metal)
    if rng.random() < 0.5:  # a foot of sheet metal
        paint(mesh([lay(c / 72, 0) for c in range(72)], [tuple(range(72))]), metal)
    if rng.random() < 0.3:  # a handle over it
        ends = lay(0, 1), lay(0.5, 1)
        paint(tube_mesh(arc(*ends, bulge=tilt @ Vector((0, 0, rng.uniform(0.5, 1.2))), steps=24), 0.02), metal)
    if rng.random() < 0.65:
        inside = 0.35 * high if bowl else 0.75 * min(low, high)
        fill(rng, tilt, inside=inside, floor=-0.38 * tall, tall=tall * (0.6 if bowl else 1))


def fill(rng: random.Random, place: Matrix, *, inside: float, floor: float, tall: float) -> None:
    """What a basket holds, in colours of its own: pens and brushes, sheets of paper, fruit and balls, stalks.

    Args:
        place: Of the basket.
        inside, floor, tall: Radius, height of the bottom and height of the room in it, in the basket's own frame.
    """
    for kind in rng.sample(["pens", "paper", "balls", "stalks"], rng.choice([1, 1, 2, 3])):
        if kind == "pens":
            for _ in range(rng.randint(2, 14)):
                pen(rng, place, inside=inside, floor=floor, tall=tall)
        elif kind == "paper":
            for _ in range(rng.randint(1, 3)):
                sheet(rng, place, wide=inside * rng.uniform(0.6, 1.5), floor=floor, long=tall * rng.uniform(0.6, 1.4))
        elif kind == "balls":
            for _ in range(rng.randint(2, 9)):
                size = inside * rng.uniform(0.25, 0.55)
                height = floor + size + rng.random() * max(tall - size, 0)
                spot = around(rng.uniform(0, TAU), rng.uniform(0, inside - size), height)
                fruit = ball(place @ spot, Vector((size, size, size * rng.uniform(0.8, 1.1))))
                paint(fruit, surface(rng, any_colour(rng)))
        else:
            stalks(rng, place, inside=inside, floor=floor, tall=tall)


def sheet(rng: random.Random, place: Matrix, *, wide: float, floor: float, long: float) -> None:
    """A sheet of paper that stands on edge, bent or flat."""
    bend = rng.choice([0.0, rng.uniform(0.2, 2.5)])
    stand = place @ Matrix.Rotation(rng.uniform(0, TAU), 4, "Z")
    columns = 24
    across = [(c / (columns - 1) - 0.5) * wide for c in range(columns)]
    edge = [Vector((x, bend * (x * x - wide * wide / 8), floor)) for x in across]
    points = [stand @ (at + Vector((0, 0, up))) for up in (0, long) for at in edge]
    faces = [(c, c + 1, columns + c + 1, columns + c) for c in range(columns - 1)]
    tone = rng.choice([hsv(0.1, 0.04, rng.uniform(0.5, 0.9)), any_colour(rng)])
    paint(mesh(points, faces), surface(rng, tone, rough=(0.6, 1), pattern=0.4))


def stalks(rng: random.Random, place: Matrix, *, inside: float, floor: float, tall: float) -> None:
    """Stalks with leaves, put into a cup."""
    places = []
    for _ in range(rng.randint(2, 8)):
        foot = around(rng.uniform(0, TAU), rng.uniform(0, 0.6) * inside, floor)
        top = foot * 0.4 + rng_vector(rng, inside) + Vector((0, 0, tall * rng.uniform(0.7, 1.6)))
        stalk = [place @ p for p in arc(foot, top, bulge=rng_vector(rng, 0.2 * inside), steps=12)]
        paint(tube_mesh(stalk, 0.012), surface(rng, hsv(rng.uniform(0.2, 0.35), 0.7, 0.15)))
        for _ in range(rng.randint(2, 9)):
            at = rng.choice(stalk[4:])
            places.append((at, rng_vector(rng, 1), rng_vector(rng, 1), rng.uniform(0.1, 0.35)))
    leaf = surface(rng, rng.choice([hsv(rng.uniform(0.2, 0.4), 0.7, 0.2), any_colour(rng)]), translucent=0.3)
    leaves(rng, places, slim=rng.uniform(0.1, 0.35), bend=rng.uniform(0, 0.8), material=leaf)


def pen(rng: random.Random, place: Matrix, *, inside: float, floor: float, tall: float) -> None:
    """A pen, pencil or brush that leans in a cup: a shaft in pieces of several colours, its end thinner or thicker."""
    foot = around(rng.uniform(0, TAU), rng.uniform(0, 0.7) * inside, floor)
    top = around(rng.uniform(0, TAU), rng.uniform(0, 1.1) * inside, floor + tall * rng.uniform(0.7, 2.0))
    thick = rng.uniform(0.012, 0.06)
    cuts = [0.0, *sorted(rng.uniform(0.15, 0.97) for _ in range(rng.randint(0, 3))), 1.0]
    palette = [any_colour(rng) for _ in range(2)]
    for low, high in itertools.pairwise(cuts):
        ends = [place @ foot.lerp(top, share) for share in (low, high)]
        material = surface(rng, rng.choice(palette), rough=(0.05, 0.6), pattern=0.15, vary=0)
        paint(tube_mesh(ends, thick * rng.choice([1, 1, 1.15, 0.85])), material)
    if rng.random() < 0.5:
        tip = top + (top - foot).normalized() * thick * rng.uniform(1, 5)
        paint(tube_mesh([place @ top, place @ tip], thick * rng.uniform(0.2, 0.7)), surface(rng, any_colour(rng)))


def lace(rng: random.Random) -> None:
    """Lace and doilies: rosettes and net of thin thread on cloth that hangs in folds."""
    cells, petals = rng.randint(6, 14), rng.randint(3, 8)
    pitch, thread = 2.2 / cells, rng.uniform(0.003, 0.009)
    shift, fold = Vector((rng.random() * 40, 0, 0)), rng.uniform(0.05, 0.4)
    round_cloth = rng.random() < 0.4
    waves = rng.uniform(2, 6)

    def lay(x: float, y: float, z: float = 0.0) -> Vector:
        hang = fold * (
            math.sin(waves * x + 2 * noise.noise(Vector((x, y, 3)) + shift)) * 0.5
            + noise.noise(Vector((x, y, 0)) * 1.3 + shift)
        )
        return Vector((x, hang + z, y))

    paths: list[Path] = []
    for row in range(cells):
        for column in range(cells):
            cx = (column + 0.5 * (row % 2) - cells / 2) * pitch
            cy = (row - cells / 2) * pitch * 0.9
            if round_cloth and math.hypot(cx, cy) > 1.1:
                continue
            kind = (row * 7 + column * 3) % 3 if rng.random() < 0.9 else 0
            for ring in range(2 + kind):
                curve = []
                for step in range(49):
                    t = TAU * step / 48
                    r = pitch * (0.5 - 0.13 * ring) * (1 + 0.25 * math.cos(petals * t) * (ring % 2))
                    curve.append(lay(cx + r * math.cos(t), cy + r * math.sin(t), 0.004 * ring))
                paths.append(curve)
            for ray in range(petals):
                t = TAU * ray / petals
                paths.append(
                    [lay(cx + s * pitch * math.cos(t), cy + s * pitch * math.sin(t)) for s in (0.1, 0.3, 0.5, 0.62)]
                )
    white = rng.choice([(0.85, 0.83, 0.78), (0.9, 0.9, 0.9), (0.02, 0.02, 0.02), any_colour(rng)])
    strands(paths, thread, strand_material(rng, white, soft=True), rng=rng, taper=0)
    if rng.random() < 0.5:
        hem = [lay(-1.2 + 2.4 * k / 80, cells / 2 * pitch * 0.9) for k in range(81)]
        strands(twist(hem, 3 * thread, 4), thread * 2, strand_material(rng, white, soft=True), rng=rng, taper=0)


def flower(rng: random.Random) -> None:
    """Daisies, tulips, thistles: petals in rings, a rough heart, stems and leaves."""
    green = surface(
        rng, hsv(rng.uniform(0.2, 0.36), rng.uniform(0.4, 0.8), rng.uniform(0.1, 0.4)), translucent=0.3, pattern=0
    )
    for _ in range(rng.choice([1, 1, 2, 3, 5])):
        at = Vector((rng.uniform(-0.7, 0.7), rng.uniform(-0.3, 0.3), rng.uniform(-0.1, 0.8)))
        facing = (Vector((rng.gauss(0, 0.5), -1, rng.uniform(0, 1.2)))).normalized()
        turn = facing.to_track_quat("Z", "Y").to_matrix()
        size, thistle = rng.uniform(0.35, 0.8), rng.random() < 0.25
        colour = any_colour(rng)
        if thistle:
            hairs = []
            habit = Habit(curl=0.2, turns=1, wobble=0.3)
            for _ in range(1500):
                out = (rng_vector(rng, 0.8) + Vector((0, 0, 1))).normalized()
                hairs.append(
                    grow(
                        rng,
                        at + turn @ (out * 0.2 * size),
                        turn @ out,
                        size * rng.uniform(0.4, 0.8),
                        habit,
                        Lock(rng),
                        steps=7,
                    )
                )
            strands(hairs, rng.uniform(0.004, 0.009), strand_material(rng, colour), rng=rng)
            paint(ball(at, Vector((1, 1, 1)) * 0.3 * size), green)
        else:
            rings, cup = rng.choice([1, 2, 2, 4]), rng.uniform(-0.2, 1.1)
            petals: list[tuple[Vector, Vector, Vector, float]] = []
            for ring in range(rings):
                count = rng.randint(6, 22)
                for k in range(count):
                    angle = TAU * (k + 0.5 * ring) / count + rng.gauss(0, 0.06)
                    flat = around(angle)
                    rise = flat + UP * (0.15 + 0.35 * ring + 0.1 * rng.gauss(0, 1))
                    petals.append(
                        (
                            at + turn @ (flat * 0.1 * size),
                            turn @ rise,
                            turn @ UP,
                            size * rng.uniform(0.85, 1.05) * (1 - 0.15 * ring),
                        )
                    )
            leaves(
                rng,
                petals,
                slim=rng.uniform(0.15, 0.4),
                bend=cup,
                material=surface(rng, colour, translucent=0.45, pattern=0),
            )
            heart = ball(at + facing * 0.03, Vector((1, 1, 1)) * 0.18 * size)
            paint(heart, surface(rng, hsv(rng.uniform(0.06, 0.16), 0.8, rng.uniform(0.1, 0.7))))
            stamens = [[p, p + n * 0.06 * size] for p, n in on_surface(rng, heart, 250) if (p - at).dot(facing) > -0.05]
            strands(
                stamens, 0.01 * size, strand_material(rng, hsv(rng.uniform(0.05, 0.15), 0.8, 0.5)), rng=rng, taper=0
            )
        stem = grow(rng, at - facing * 0.05, -facing - UP * 1.5, 2.2, Habit(gravity=1, wobble=0.1), Lock(rng), steps=16)
        paint(tube_mesh(stem, 0.03 * size + 0.008), green)
        some = [
            (stem[k], rng_vector(rng, 1) + UP * 0.5, UP, rng.uniform(0.25, 0.6))
            for k in rng.sample(range(4, 15), rng.randint(2, 7))
        ]
        leaves(rng, some, slim=rng.uniform(0.12, 0.35), bend=rng.uniform(0, 0.6), material=green)


def plant(rng: random.Random) -> None:
    """Grass, house plants, bushes, trees, bare twigs."""
    kind = rng.choice(["grass", "house", "bush", "tree", "tree", "twigs"])
    green = hsv(rng.gauss(0.26, 0.05), rng.uniform(0.45, 0.9), rng.uniform(0.08, 0.4))
    if rng.random() < 0.2:
        green = hsv(rng.uniform(0.0, 0.14), rng.uniform(0.5, 0.9), rng.uniform(0.2, 0.6))  # autumn
    leaf = surface(rng, green, translucent=rng.uniform(0.2, 0.5), pattern=0, vary=0.35)
    if kind == "grass":
        habit = Habit(gravity=rng.uniform(0.2, 1.4), wobble=0.15)
        blades = []
        for _ in range(rng.randint(200, 1200)):
            foot = Vector((rng.gauss(0, 0.5), rng.gauss(0, 0.35), -1.3))
            blades.append(
                grow(
                    rng,
                    foot,
                    Vector((rng.gauss(0, 0.4), rng.gauss(0, 0.4), 1)),
                    rng.uniform(0.8, 2.4),
                    habit,
                    Lock(rng),
                    steps=10,
                )
            )
        strands(blades, rng.uniform(0.006, 0.02), strand_material(rng, green), rng=rng)
        return
    depth = {"house": 0, "bush": 2, "tree": 3, "twigs": 4}[kind]
    limbs: list[tuple[Path, float]] = []
    ends: list[tuple[Vector, Vector]] = []

    def branch(at: Vector, along: Vector, length: float, radius: float, level: int) -> None:
        path = grow(rng, at, along, length, Habit(gravity=-0.2 if level else 0.3, wobble=0.35), Lock(rng), steps=8)
        limbs.append((path, radius))
        if level <= 1:
            ends.extend((path[k], path[k] - path[k - 1]) for k in range(2, 8))
        for _ in range(rng.randint(3, 5) if level else 0):
            k = rng.randint(2, 7)
            side = (path[k] - path[k - 1]).normalized() + rng_vector(rng, spread)
            branch(path[k], side, length * rng.uniform(0.45, 0.75), radius * 0.55, level - 1)

    spread = rng.uniform(0.5, 1.1)
    for _ in range({"house": rng.randint(8, 26), "bush": rng.randint(3, 7)}.get(kind, 1)):
        foot = Vector((rng.gauss(0, 0.08), rng.gauss(0, 0.08), -1.15))
        lean = (
            Vector((rng.gauss(0, 0.5), rng.gauss(0, 0.5), 1)) if kind != "tree" else Vector((rng.gauss(0, 0.1), 0, 1))
        )
        branch(foot, lean, rng.uniform(0.7, 1.2), 0.012 if kind == "house" else rng.uniform(0.03, 0.06), depth)
    wood = surface(rng, hsv(rng.uniform(0.05, 0.12), rng.uniform(0.2, 0.6), rng.uniform(0.03, 0.25)), rough=(0.7, 1))
    for radius in sorted({radius for _, radius in limbs}):
        strands(
            [path for path, own in limbs if own == radius],
            radius,
            leaf if kind == "house" else wood,
            rng=rng,
            taper=0.5,
        )
    if kind != "twigs":
        narrow = rng.random() < 0.4 or kind == "house"
        size = rng.uniform(0.25, 0.6) if kind == "house" else rng.uniform(0.08, 0.24)
        each = max(1, min(6, 2500 // max(len(ends), 1)))
        blades = [
            (at, along.normalized() + rng_vector(rng, 0.9), UP + rng_vector(rng, 0.4), size * rng.uniform(0.5, 1.2))
            for at, along in ends
            for _ in range(each)
        ]
        leaves(
            rng,
            blades,
            slim=rng.uniform(0.06, 0.14) if narrow else rng.uniform(0.2, 0.45),
            bend=rng.uniform(0, 0.6),
            material=leaf,
        )
    if kind == "house":
        pot = lathe(
            [
                (0, -1.75),
                (0.36, -1.75),
                (0.46, -1.12),
                (0.52, -1.12),
                (0.52, -1.0),
                (0.44, -1.0),
                (0.4, -1.15),
                (0, -1.15),
            ]
        )
        paint(pot, surface(rng, any_colour(rng)))


def splash(rng: random.Random) -> None:
    """Water thrown up: a torn crown, threads and hundreds of drops."""
    water = see_through(
        rng, tint=rng.choice([(0.8, 0.9, 1.0), (0.9, 0.9, 0.9), any_colour(rng)]), clear=(0.05, 0.35), rim=(0.6, 0.95)
    )
    arms, height, wide = rng.randint(7, 16), rng.uniform(0.6, 1.3), rng.uniform(0.4, 0.8)
    shift, rows, columns = rng.random() * 40, 22, 160
    points = []
    for row in range(rows):
        t = row / (rows - 1)
        for column in range(columns):
            angle = TAU * column / columns
            reach = noise.noise(around(angle, 1.5, shift))
            tall = height * (0.5 + 0.35 * math.cos(arms * angle + 3 * reach) + 0.4 * reach)
            radius = wide * (1 + 0.7 * t * t) + 0.06 * noise.noise(Vector((4 * angle, 5 * t, shift)))
            points.append(around(angle, radius, -0.7 + t * max(tall, 0.05)))
    faces = ring_faces(rows, columns)
    sheet = mesh(points, faces)
    thick = sheet.modifiers.new("thick", "SOLIDIFY")
    thick.thickness = rng.uniform(0.01, 0.05)
    paint(sheet, water)
    drops, at, size = [], [], []
    for _ in range(rng.randint(150, 500)):
        angle, t = rng.uniform(0, TAU), rng.random() ** 0.7
        out = wide * (1 + 1.1 * t) * rng.uniform(0.8, 1.3)
        at.append(around(angle, out, -0.7 + 1.9 * t + rng.gauss(0, 0.2)))
        size.append(min(math.exp(rng.gauss(-4.0, 0.6)), 0.08))
    drops = balls(at, size)
    paint(drops, water)
    threads = [
        arc(p, p + Vector((0.2 * p.x, 0.2 * p.y, rng.uniform(0.1, 0.4))), bulge=rng_vector(rng, 0.05), steps=8)
        for p in rng.sample(at, 40)
    ]
    strands(threads, 0.012, water, rng=rng)
    pool = ball(Vector((0, 0, -0.75)), Vector((wide * 1.5, wide * 1.5, 0.08)))
    paint(pool, water if rng.random() < 0.5 else surface(rng, any_colour(rng), rough=(0.02, 0.2), pattern=0))


def sparks(rng: random.Random) -> None:
    """Sparks, sparklers, fireworks: glowing streaks that fall, and what they fly from."""
    heat = hsv(rng.uniform(0.02, 0.14), rng.uniform(0.4, 0.95), 1.0) if rng.random() < 0.75 else any_colour(rng)
    source = Vector((rng.uniform(-0.4, 0.4), 0, rng.uniform(-0.4, 0.3)))
    aim, wide = rng_vector(rng, 1), rng.choice([0.4, 0.9, 2.5])
    habit = Habit(gravity=rng.uniform(0, 0.9), wobble=rng.uniform(0, 0.2))
    streaks, at, size = [], [], []
    for _ in range(rng.randint(200, 900)):
        path = grow(rng, source, aim + rng_vector(rng, wide), rng.uniform(0.4, 1.7), habit, Lock(rng), steps=16)
        first = rng.randint(0, 11)
        streaks.append(path[first : first + rng.randint(3, 5)])
        if rng.random() < 0.4:
            at.append(streaks[-1][-1])
            size.append(rng.uniform(0.004, 0.02))
    strands(streaks, rng.uniform(0.003, 0.009), glow(heat, rng.uniform(1.5, 6)), rng=rng, taper=rng.uniform(0, 0.9))
    paint(balls(at, size), glow(heat, rng.uniform(2, 6)))
    stick = tube_mesh([source, source - aim.normalized() * 1.8 - UP * 0.5], rng.uniform(0.015, 0.06))
    paint(stick, surface(rng, any_colour(rng)))
    paint(ball(source, Vector((1, 1, 1)) * rng.uniform(0.04, 0.14)), glow(tuple(0.5 + 0.5 * v for v in heat), 3))


def veil(rng: random.Random) -> None:
    """Thin cloth, tulle or a plastic bag in folds, sometimes over something solid."""
    for _ in range(rng.choice([1, 1, 2])):
        n, shift = 110, Vector((rng.random() * 40, rng.random() * 40, 0))
        fold, waves, crumple = rng.uniform(0.05, 0.25), rng.uniform(3, 9), rng.uniform(0, 0.25)
        gather = rng.uniform(0, 0.7)
        points = []
        for row in range(n):
            for column in range(n):
                x, y = 2 * column / (n - 1) - 1, 2 * row / (n - 1) - 1
                ripple = fold * math.sin(waves * x + 2 * noise.noise(Vector((x, y, 0)) * 1.2 + shift)) * (1.3 - 0.5 * y)
                rough = crumple * noise.turbulence(Vector((x, y, 0)) * 1.6 + shift, 3, True)
                pull = 1 - gather * (y + 1) / 2
                points.append(Vector((x * pull + 0.3 * rough, ripple + rough, y)))
        faces = [
            (r * n + c, r * n + c + 1, (r + 1) * n + c + 1, (r + 1) * n + c) for r in range(n - 1) for c in range(n - 1)
        ]
        cloth = mesh(points, faces)
        cloth.rotation_euler = (rng.gauss(0, 0.3), rng.choice([rng.uniform(0, TAU), 0]), rng.gauss(0, 0.4))
        cloth.location = Vector((rng.gauss(0, 0.2), rng.gauss(0, 0.2), rng.gauss(0, 0.2)))
        low = rng.uniform(0.08, 0.5)
        paint(
            cloth,
            see_through(
                rng,
                tint=any_colour(rng) if rng.random() < 0.5 else (0.9, 0.9, 0.9),
                clear=(low, low + 0.25),
                rim=(0.6, 1.0),
                pattern=rng.random() < 0.4,
                gloss=rng.random() < 0.5,
            ),
        )
    if rng.random() < 0.4:
        inner = lumpy(rng, rng.uniform(0.3, 0.6))
        inner.location = Vector((rng.uniform(-0.4, 0.4), 0.3, rng.uniform(-0.4, 0.4)))
        paint(inner, surface(rng, any_colour(rng)))


def glass(rng: random.Random) -> None:
    """Bottles, tumblers, wine glasses and bubbles, empty or half full."""
    for number in range(rng.choice([1, 1, 2, 3])):
        kind = rng.choice(["bottle", "tumbler", "wine", "bubble"])
        clear, tint = (
            rng.uniform(0.03, 0.2),
            rng.choice([(0.9, 0.95, 0.95), (0.2, 0.5, 0.25), (0.5, 0.3, 0.1), any_colour(rng)]),
        )
        material = see_through(rng, tint=tint, clear=(clear, clear + 0.1), rim=(0.5, 0.95), gloss=True)
        at = Vector((rng.uniform(-0.3, 0.3) + (number - 0.5) * 0.7, 0.4 * number, 0))
        if kind == "bubble":
            for _ in range(rng.randint(1, 12)):
                paint(ball(rng_vector(rng, 0.9), Vector((1, 1, 1)) * rng.uniform(0.05, 0.5)), material)
            continue
        w, top = rng.uniform(0.3, 0.5), rng.uniform(0.7, 1.1)
        profile = {
            "bottle": [
                (0, -1),
                (w, -1),
                (w, 0.2),
                (0.6 * w, 0.5),
                (0.25 * w, 0.65),
                (0.25 * w, top),
                (0.3 * w, 1.1 * top),
            ],
            "tumbler": [(0, -0.8), (0.75 * w, -0.8), (1.0 * w, 0.6), (0.95 * w, 0.6), (0.7 * w, -0.7), (0, -0.7)],
            "wine": [(0, -1), (0.8 * w, -0.98), (0.08, -0.9), (0.05, -0.3), (0.7 * w, 0), (w, 0.4), (0.8 * w, 0.9)],
        }[kind]
        vessel = lathe(profile)
        vessel.location = at
        vessel.rotation_euler = (rng.gauss(0, 0.1), rng.gauss(0, 0.15), 0)
        paint(vessel, material)
        if rng.random() < 0.5 and kind != "wine":
            level = rng.uniform(-0.6, 0.2)
            drink = lathe(
                [
                    (0, -0.95 if kind == "bottle" else -0.75),
                    (0.9 * w * (1 if kind == "bottle" else 0.75), -0.9 if kind == "bottle" else -0.74),
                    (0.88 * w, level),
                    (0, level),
                ]
            )
            drink.location = at
            paint(drink, see_through(rng, tint=any_colour(rng), clear=(0.4, 0.8), rim=(0.6, 0.95)))
    if rng.random() < 0.35:
        thing = lumpy(rng, rng.uniform(0.15, 0.35))
        thing.location = Vector((rng.uniform(-0.5, 0.5), rng.uniform(-0.6, 0.6), rng.uniform(-0.7, 0.3)))
        paint(thing, surface(rng, any_colour(rng)))


def feather(rng: random.Random) -> None:
    """Feathers with barbs that cling and split, downy at the foot; or a dandelion's head."""
    colour, second = hair_colour(rng), any_colour(rng) if rng.random() < 0.4 else hair_colour(rng)
    material = strand_material(rng, colour, second=second, pattern=rng.choice(["stripes", "patches", "plain"]))
    paths: list[Path] = []
    if rng.random() < 0.25:
        habit = Habit(wobble=0.1)
        for _ in range(rng.randint(80, 220)):
            out = rng_vector(rng, 1).normalized()
            ray = grow(rng, out * 0.1, out, rng.uniform(0.55, 0.7), habit, Lock(rng), steps=5)
            paths.append(ray)
            for _ in range(rng.randint(12, 26)):
                paths.append(
                    grow(
                        rng,
                        ray[-1],
                        out * 0.5 + rng_vector(rng, 0.8),
                        rng.uniform(0.15, 0.3),
                        habit,
                        Lock(rng),
                        steps=5,
                    )
                )
        paint(ball(Vector((0, 0, 0)), Vector((0.12, 0.12, 0.12))), surface(rng, (0.2, 0.12, 0.05)))
        paint(
            tube_mesh(grow(rng, Vector((0, 0, 0)), -UP, 2, Habit(wobble=0.15), Lock(rng), steps=12), 0.03),
            surface(rng, (0.2, 0.3, 0.1)),
        )
        strands(paths, rng.uniform(0.002, 0.004), material, rng=rng, taper=0.3)
        return
    for _ in range(rng.choice([1, 1, 2, 3])):
        aim = Vector((rng.uniform(-1, 1), rng.gauss(0, 0.2), rng.uniform(-1, 1))).normalized()
        quill = grow(
            rng,
            -aim * 1.1 + rng_vector(rng, 0.25),
            aim,
            rng.uniform(1.8, 2.4),
            Habit(gravity=rng.uniform(-0.3, 0.3), wobble=0.04),
            Lock(rng),
            steps=60,
        )
        strands([quill], rng.uniform(0.014, 0.026), material, rng=rng)
        wide, fluff, cling = rng.uniform(0.22, 0.5), rng.uniform(0.1, 0.9), rng.uniform(3, 12)
        for k in range(4, 60):
            t = k / 60
            along = (quill[k] - quill[k - 1]).normalized()
            side = along.cross(Vector((0, -1, 0.15))).normalized()
            for sign in (-1, 1):
                split = noise.noise(Vector((cling * t, 5 * sign, wide * 9))) * 0.35
                for _ in range(13):
                    down = max(0.0, 0.35 - t) * fluff * 2
                    lean = side * sign + along * (0.8 + split + 0.4 * t) + rng_vector(rng, 0.02 + down)
                    reach = wide * math.sin(math.pi * t**0.7) ** 0.6 * rng.uniform(0.92, 1.03)
                    habit = Habit(wobble=0.05 + 1.5 * down, curl=0.4 * down, turns=2)
                    paths.append(
                        grow(
                            rng, quill[k - 1].lerp(quill[k], rng.random()), lean, reach, habit, Lock(rng, 0.01), steps=7
                        )
                    )
    strands(paths, rng.uniform(0.005, 0.009), material, rng=rng, taper=0.6)


def smoke(rng: random.Random) -> None:
    """Smoke, steam or a small fire: a volume of warped noise."""
    body = ball(Vector((0, 0, 0)), Vector((rng.uniform(0.7, 1.2), rng.uniform(0.4, 0.7), rng.uniform(0.8, 1.3))))
    material, tree = blank_material("smoke")
    volume = add(
        tree, "ShaderNodeVolumePrincipled", Color=(*hsv(rng.random(), rng.random() * 0.4, rng.uniform(0.25, 0.95)), 1)
    )
    if rng.random() < 0.25:
        volume.inputs["Emission Strength"].default_value = rng.uniform(0.5, 3)
        volume.inputs["Emission Color"].default_value = (*hsv(rng.uniform(0, 0.1), 0.9, 1), 1)
    place = add(tree, "ShaderNodeTexCoord").outputs["Object"]
    moved = add(
        tree,
        "ShaderNodeMapping",
        Vector=place,
        Location=[rng.random() * 20 for _ in range(3)],
        Scale=(1, 1, rng.uniform(0.5, 1)),
    )
    puffs = add(
        tree,
        "ShaderNodeTexNoise",
        Vector=moved.outputs[0],
        Scale=rng.uniform(1.2, 3),
        Detail=7.0,
        Distortion=rng.uniform(0, 1.5),
    )
    start = rng.uniform(0.43, 0.53)
    puffs = add(tree, "ShaderNodeMapRange", Value=puffs.outputs["Fac"])
    for name, value in ((1, start), (2, start + rng.uniform(0.06, 0.25)), (3, 0.0), (4, rng.uniform(6, 30))):
        puffs.inputs[name].default_value = value
    fall = add(tree, "ShaderNodeTexGradient", Vector=place)
    fall.gradient_type = "SPHERICAL"
    density = add(tree, "ShaderNodeMath", a=puffs.outputs[0], b=fall.outputs["Fac"])
    density.operation = "MULTIPLY"
    tree.links.new(density.outputs[0], volume.inputs["Density"])
    tree.links.new(volume.outputs[0], tree.nodes["Material Output"].inputs["Volume"])
    paint(body, material)
    bpy.context.scene.cycles.volume_step_rate = 3


def toy(rng: random.Random) -> None:
    """Solid things: stacked shapes, a bear, a robot of blocks, rings, fruit, tools with thin parts."""
    if rng.random() < 0.4:
        for body in creature(rng):
            paint(body, surface(rng, any_colour(rng)))
    else:
        for _ in range(rng.randint(2, 7)):
            kind = rng.choice(["box", "lump", "ring", "cone", "lathe", "rod"])
            at = Vector((rng.gauss(0, 0.45), rng.gauss(0, 0.25), rng.gauss(0, 0.45)))
            turn = [rng.uniform(0, TAU) for _ in range(3)]
            if kind == "box":
                bpy.ops.mesh.primitive_cube_add(size=rng.uniform(0.4, 0.9))
                thing = bpy.context.object
                soft = thing.modifiers.new("soft", "BEVEL")
                soft.width, soft.segments = rng.uniform(0.01, 0.08), 3
            elif kind == "lump":
                thing = lumpy(rng, rng.uniform(0.3, 0.7))
            elif kind == "ring":
                bpy.ops.mesh.primitive_torus_add(
                    major_radius=rng.uniform(0.3, 0.7),
                    minor_radius=rng.uniform(0.02, 0.16),
                    major_segments=96,
                    minor_segments=24,
                )
                thing = bpy.context.object
            elif kind == "cone":
                bpy.ops.mesh.primitive_cone_add(
                    radius1=rng.uniform(0.15, 0.5), depth=rng.uniform(0.5, 1.4), vertices=64
                )
                thing = bpy.context.object
            elif kind == "lathe":
                thing = lathe([(0, -0.7)] + [(rng.uniform(0.08, 0.45), -0.7 + 0.2 * k) for k in range(8)] + [(0, 0.75)])
            else:
                end = rng_vector(rng, 1)
                thing, turn = tube_mesh([at - end, at + end], rng.uniform(0.008, 0.05)), [0, 0, 0]
                at = Vector((0, 0, 0))
            thing.location, thing.rotation_euler = at, turn
            paint(thing, surface(rng, any_colour(rng)))


FAMILIES: dict[str, tuple[Callable[[random.Random], None], float]] = {
    "hair": (hair, 0.16),
    "braid": (braid, 0.05),
    "coat": (coat, 0.17),
    "knit": (knit, 0.05),
    "wheel": (wheel, 0.04),
    "fence": (fence, 0.04),
    "basket": (basket, 0.04),
    "lace": (lace, 0.04),
    "flower": (flower, 0.07),
    "plant": (plant, 0.1),
    "splash": (splash, 0.03),
    "sparks": (sparks, 0.03),
    "veil": (veil, 0.05),
    "glass": (glass, 0.04),
    "feather": (feather, 0.05),
    "smoke": (smoke, 0.03),
    "toy": (toy, 0.05),
}
STOCHASTIC = {"splash", "veil", "glass", "smoke"}  # Cycles samples their transparency at random: twice the samples


# ---------------------------------------------------------------------------------------- camera and lights


def stage(rng: random.Random, *, size: int, samples: int, threads: int) -> None:
    """An empty scene with a camera at -y, an area light or three, often one of them behind (rim light)."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    cycles, render = scene.cycles, scene.render
    cycles.device, cycles.samples, cycles.use_denoising = "CPU", samples, False
    cycles.seed = rng.randrange(2**31)
    cycles.use_adaptive_sampling, cycles.adaptive_threshold, cycles.adaptive_min_samples = (
        True,
        0.02,
        max(16, samples // 4),
    )
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces, cycles.transmission_bounces = 3, 1, 1, 2
    cycles.volume_bounces, cycles.transparent_max_bounces = 0, 24
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.sample_clamp_indirect, cycles.sample_clamp_direct = 3, 12
    cycles.filter_width = rng.uniform(1.0, 1.7)
    scene.cycles_curves.shape = "RIBBONS"
    render.film_transparent, render.resolution_x, render.resolution_y, render.resolution_percentage = (
        True,
        size,
        size,
        100,
    )
    render.image_settings.file_format, render.image_settings.color_mode = "PNG", "RGBA"
    render.image_settings.compression = 30
    for note in ("date", "render_time", "memory", "filename", "scene", "camera", "frame", "time", "hostname"):
        setattr(render, f"use_stamp_{note}", False)  # else two runs differ in the notes of the PNG
    scene.view_settings.view_transform = "Standard"
    if threads:
        render.threads_mode, render.threads = "FIXED", threads
    world = bpy.data.worlds.new("world")
    scene.world, world.use_nodes = world, True
    sky = world.node_tree.nodes["Background"]
    sky.inputs["Color"].default_value = (*hsv(rng.choice([0.09, 0.58]) + rng.gauss(0, 0.03), rng.uniform(0, 0.4), 1), 1)
    sky.inputs["Strength"].default_value = rng.uniform(0.15, 1.0)
    warm = hsv(rng.uniform(0.06, 0.12), rng.uniform(0, 0.45), 1)
    light(rng, Vector((rng.uniform(-4, 4), rng.uniform(-5, -1.5), rng.uniform(0, 5))), rng.uniform(120, 500), warm)
    if rng.random() < 0.6:  # from behind: hair and leaves shine at their edge
        light(
            rng,
            Vector((rng.uniform(-4, 4), rng.uniform(2, 5), rng.uniform(0, 4))),
            rng.uniform(200, 1200),
            hsv(rng.random(), rng.uniform(0, 0.3), 1),
        )
    if rng.random() < 0.4:
        light(
            rng,
            Vector((rng.uniform(-5, 5), rng.uniform(-4, 0), rng.uniform(-3, 2))),
            rng.uniform(30, 200),
            hsv(rng.random(), rng.uniform(0, 0.5), 1),
        )
    camera = bpy.data.cameras.new("camera")
    scene.camera = link(bpy.data.objects.new("camera", camera))
    distance = rng.uniform(4, 9)
    eye = Vector((rng.gauss(0, 0.8), -distance, rng.gauss(0.3, 0.8)))
    target = Vector((rng.gauss(0, 0.15), 0, rng.gauss(0, 0.15)))
    scene.camera.location, scene.camera.rotation_euler = eye, (target - eye).to_track_quat("-Z", "Y").to_euler()
    camera.sensor_width, camera.lens = 36, 36 * (eye - target).length / rng.uniform(2.2, 3.7)


def surroundings(rng: random.Random) -> None:
    """Bright and dark places all around instead of an even sky: what polished metal shows is mostly these."""
    tree = bpy.context.scene.world.node_tree
    place = add(tree, "ShaderNodeTexCoord").outputs["Generated"]
    cloud = add(tree, "ShaderNodeTexNoise", Vector=place, Scale=rng.uniform(1, 5), Detail=2.0)
    share = add(tree, "ShaderNodeMapRange", Value=cloud.outputs["Fac"])
    share.inputs["From Min"].default_value, share.inputs["From Max"].default_value = 0.42, 0.58
    dark, bright = rgba(any_colour(rng), 0.3), rgba(hsv(rng.random(), rng.uniform(0, 0.3), 1))
    feed(tree, tree.nodes["Background"].inputs["Color"], mixed(tree, share.outputs[0], dark, bright))


def light(rng: random.Random, at: Vector, watts: float, colour: Colour) -> None:
    lamp = bpy.data.lights.new("light", "AREA")
    lamp.energy, lamp.size, lamp.color = watts, math.exp(rng.uniform(-1.5, 1.3)), colour
    thing = link(bpy.data.objects.new("light", lamp))
    thing.location, thing.rotation_euler = at, (-at).to_track_quat("-Z", "Y").to_euler()


def lens(rng: random.Random) -> None:
    """Now and then a shallow depth of field, or everything moves while the shutter is open."""
    scene = bpy.context.scene
    if rng.random() < 0.28:
        field = scene.camera.data.dof
        field.use_dof, field.aperture_fstop = True, math.exp(rng.uniform(-2, 0.3))
        field.focus_distance = scene.camera.location.length + rng.choice(
            [rng.uniform(-0.6, 0.3), rng.uniform(-1.5, 1.2)]
        )
    if rng.random() < 0.12:
        scene.render.use_motion_blur, scene.render.motion_blur_shutter = True, rng.uniform(0.2, 1)
        root = link(bpy.data.objects.new("root", None))
        for thing in list(scene.objects):
            if thing.type in {"MESH", "CURVES"} and thing.parent is None:
                thing.parent = root
        shift, turn = Vector((rng.gauss(0, 0.1), 0, rng.gauss(0, 0.1))), rng.gauss(0, 0.06)
        for frame, sign in ((0, -1), (2, 1)):
            root.location, root.rotation_euler = shift * sign, (0, turn * sign, 0)
            root.keyframe_insert("location", frame=frame)
            root.keyframe_insert("rotation_euler", frame=frame)
        scene.frame_set(1)


# ------------------------------------------------------------------------------------------------- geometry


class Habit:
    """How strands grow: they fall, curl, wander and lean with the wind."""

    def __init__(
        self, *, gravity: float = 0, curl: float = 0, turns: float = 1, wobble: float = 0, wind: Vector | None = None
    ) -> None:
        self.gravity, self.curl, self.turns, self.wobble = gravity, curl, turns, wobble
        self.wind = wind or Vector((0, 0, 0))


class Lock:
    """What strands of one lock share: where they lean, and the phase of their curl."""

    def __init__(self, rng: random.Random, stray: float = 0.15) -> None:
        self.lean, self.phase, self.stray = rng_vector(rng, 0.5), rng.uniform(0, TAU), stray


def grow(
    rng: random.Random, root: Vector, along: Vector, length: float, habit: Habit, lock: Lock, steps: int = 10
) -> Path:
    """A strand of `steps` points."""
    heading = (along + rng_vector(rng, lock.stray)).normalized()
    side = heading.cross(UP if abs(heading.z) < 0.95 else Vector((1, 0, 0))).normalized()
    up = heading.cross(side)
    wander = rng_vector(rng, habit.wobble), rng_vector(rng, habit.wobble)
    phase = lock.phase + rng.gauss(0, 0.4)
    path = [root.copy()]
    reach = length * rng.uniform(0.85, 1.1) / (steps - 1)
    for step in range(1, steps):
        t = step / (steps - 1)
        turn = phase + TAU * habit.turns * t
        bend = (side * math.cos(turn) + up * math.sin(turn)) * habit.curl
        bend += wander[0] * math.sin(3.1 * t) + wander[1] * math.sin(5.3 * t)
        bend += (habit.wind - UP * habit.gravity) * t
        path.append(path[-1] + (heading + bend).normalized() * reach)
    return path


def keep_out(path: Path, body: bpy.types.Object, share: float) -> None:
    """Push a strand out of an ellipsoid `share` times the size of a ball."""
    scale = body.scale * share
    for k, point in enumerate(path):
        inside = point - body.location
        relative = Vector((inside.x / scale.x, inside.y / scale.y, inside.z / scale.z)).length
        if relative < 1:
            path[k] = body.location + inside / max(relative, 0.05)


def arc(start: Vector, end: Vector, *, bulge: Vector, steps: int) -> Path:
    """From one point to another, pushed out in the middle."""
    return [start.lerp(end, k / (steps - 1)) + bulge * math.sin(math.pi * k / (steps - 1)) for k in range(steps)]


def coil(rng: random.Random, centre: Vector, radius: float, count: int) -> list[Path]:
    """Hair wound to a bun."""
    paths = []
    for _ in range(count):
        start, tube, spin = rng.uniform(0, TAU), rng.uniform(0, TAU), rng.uniform(0.4, 1.2)
        thick = radius * 0.6 * math.sqrt(rng.uniform(0.4, 1))
        path = []
        for k in range(24):
            angle = start + k * 0.22
            own = tube + spin * k * 0.22
            ring = radius * 0.7 + thick * math.cos(own)
            path.append(centre + around(angle, ring, thick * math.sin(own)))
        paths.append(path)
    return paths


def twist(centre: Path, radius: float, plies: int) -> list[Path]:
    """A yarn: plies wound around a centre line."""
    turn, travelled = [], 0.0
    for k, point in enumerate(centre):
        travelled += (point - centre[k - 1]).length if k else 0.0
        turn.append(travelled / (radius * 5))
    sides = []
    for k, point in enumerate(centre):
        along = centre[min(k + 1, len(centre) - 1)] - centre[max(k - 1, 0)]
        side = along.cross(Vector((0.1, 1, 0.2))).normalized()
        sides.append((point, side, along.cross(side).normalized()))
    return [
        [
            p + (a * math.cos(t + TAU * ply / plies) + b * math.sin(t + TAU * ply / plies)) * radius * 0.62
            for (p, a, b), t in zip(sides, turn, strict=True)
        ]
        for ply in range(plies)
    ]


def strands(
    paths: Iterable[Path], radius: float, material: bpy.types.Material, *, rng: random.Random, taper: float = 0.85
) -> None:
    """Cycles hair along paths, each a little thicker or thinner, thinner still towards the tip by the share `taper`."""
    curve = bpy.data.curves.new("source", "CURVE")
    curve.dimensions = "3D"
    for path in paths:
        n = len(path)
        own = radius * rng.uniform(0.7, 1.3)
        polyline(curve, path).points.foreach_set("radius", [own * (1 - taper * (k / (n - 1)) ** 1.6) for k in range(n)])
    source = link(bpy.data.objects.new("source", curve))
    source.hide_render = True
    group = bpy.data.node_groups.new("copy", "GeometryNodeTree")
    group.outputs.new("NodeSocketGeometry", "Geometry")
    info, dress, out = (
        group.nodes.new(f"{name}") for name in ("GeometryNodeObjectInfo", "GeometryNodeSetMaterial", "NodeGroupOutput")
    )
    info.inputs["Object"].default_value, dress.inputs["Material"].default_value = source, material
    group.links.new(info.outputs["Geometry"], dress.inputs["Geometry"])
    group.links.new(dress.outputs["Geometry"], out.inputs[0])
    hairs = bpy.data.hair_curves.new("strands")
    hairs.materials.append(material)
    thing = link(bpy.data.objects.new("strands", hairs))
    thing.modifiers.new("copy", "NODES").node_group = group


def polyline(curve: bpy.types.Curve, path: Path) -> bpy.types.Spline:
    """A path as a new part of a curve."""
    spline = curve.splines.new("POLY")
    spline.points.add(len(path) - 1)
    spline.points.foreach_set("co", [value for point in path for value in (*point, 1.0)])
    return spline


def mesh(points: Sequence[Vector], faces: Sequence[Sequence[int]]) -> bpy.types.Object:
    data = bpy.data.meshes.new("mesh")
    data.from_pydata([tuple(point) for point in points], [], faces)
    data.polygons.foreach_set("use_smooth", [True] * len(data.polygons))
    return link(bpy.data.objects.new("mesh", data))


def ball(at: Vector, scale: Vector) -> bpy.types.Object:
    bpy.ops.mesh.primitive_ico_sphere_add(radius=1, subdivisions=5, location=at)
    thing = bpy.context.object
    thing.scale = scale
    bpy.ops.object.shade_smooth()
    bpy.context.view_layer.update()
    return thing


def balls(at: Sequence[Vector], radius: Sequence[float]) -> bpy.types.Object:
    """Many small balls in one mesh."""
    bpy.ops.mesh.primitive_ico_sphere_add(radius=1, subdivisions=3)
    one = bpy.context.object
    corners = [vertex.co.copy() for vertex in one.data.vertices]
    triangles = [tuple(face.vertices) for face in one.data.polygons]
    bpy.data.objects.remove(one)
    points = [centre + corner * size for centre, size in zip(at, radius, strict=True) for corner in corners]
    faces = [tuple(index + k * len(corners) for index in face) for k in range(len(at)) for face in triangles]
    return mesh(points, faces)


def lumpy(rng: random.Random, radius: float) -> bpy.types.Object:
    """A rounded lump."""
    thing = ball(Vector((0, 0, 0)), Vector((1, 1, 1)))
    shift, rough, fine = rng_vector(rng, 30), rng.uniform(0.05, 0.35), rng.uniform(0.6, 2)
    for vertex in thing.data.vertices:
        vertex.co *= radius * (1 + rough * noise.fractal(vertex.co * fine + shift, 1, 2, 3))
    return thing


def creature(rng: random.Random) -> list[bpy.types.Object]:
    """The parts of an animal or a toy; the head comes last. Sometimes one lump, sometimes Blender's monkey."""
    kind = rng.choice(["animal", "animal", "animal", "lump", "monkey"])
    if kind == "lump":
        return [lumpy(rng, rng.uniform(0.7, 1.0))]
    if kind == "monkey":
        bpy.ops.mesh.primitive_monkey_add(size=1.7)
        head = bpy.context.object
        head.modifiers.new("smooth", "SUBSURF").render_levels = 2
        head.modifiers["smooth"].levels = 2
        head.rotation_euler = (rng.gauss(0, 0.15), 0, rng.gauss(0, 0.5))
        bpy.ops.object.shade_smooth()
        bpy.context.view_layer.update()
        return [head]
    top, size = Vector((rng.gauss(0, 0.15), -0.15, 0.35)), rng.uniform(0.45, 0.6)
    parts = [ball(Vector((0, 0.1, -0.6)), Vector((rng.uniform(0.55, 0.85), 0.6, rng.uniform(0.55, 0.8))))]
    tall, apart = rng.choice([1, 1, rng.uniform(1.6, 2.6)]), rng.uniform(0.45, 0.85)
    for side in (-1, 1):
        ear = ball(
            top + Vector((side * apart, 0, 0.75 + 0.15 * tall)) * size,
            Vector((0.28, 0.16, 0.3 * tall)) * size * rng.uniform(0.9, 1.3),
        )
        ear.rotation_euler = (0, side * rng.uniform(0, 0.5), 0)
        arm = ball(Vector((side * 0.75, -0.25, -0.5)), Vector((0.22, 0.25, 0.42)))
        arm.rotation_euler = (0, -side * rng.uniform(0.1, 0.9), 0)
        leg = ball(Vector((side * 0.5, -0.4, -1.15)), Vector((0.28, 0.42, 0.25)))
        parts += [ear, arm, leg]
    if rng.random() < 0.6:
        parts.append(ball(top + Vector((0, -0.85, -0.2)) * size, Vector((0.45, 0.5, 0.38)) * size))
    parts.append(ball(top, Vector((1, 0.95, rng.uniform(0.85, 1.05))) * size))
    bpy.context.view_layer.update()
    return parts


def shoulders(rng: random.Random, skin: bpy.types.Material) -> None:
    paint(ball(Vector((0, 0.05, HEAD - 0.8)), Vector((0.24, 0.26, 0.5))), skin)
    paint(
        ball(Vector((0, 0.1, HEAD - 1.8)), Vector((rng.uniform(0.95, 1.2), 0.5, 0.75))), surface(rng, any_colour(rng))
    )


def lathe(profile: Sequence[tuple[float, float]]) -> bpy.types.Object:
    """A profile (radius, height) turned around the z axis."""
    columns = 72
    points = [around(TAU * c / columns, r, z) for r, z in profile for c in range(columns)]
    faces = ring_faces(len(profile), columns)
    thing = mesh(points, faces)
    smooth = thing.modifiers.new("smooth", "SUBSURF")
    smooth.render_levels = smooth.levels = 2
    return thing


def ring_faces(rows: int, columns: int) -> list[tuple[int, int, int, int]]:
    """Faces between rings of points, one ring after another."""
    return [
        (start + c, start + (c + 1) % columns, start + columns + (c + 1) % columns, start + columns + c)
        for start in range(0, (rows - 1) * columns, columns)
        for c in range(columns)
    ]


def tube_mesh(path: Path, radius: float) -> bpy.types.Object:
    """A round tube along a path."""
    curve = bpy.data.curves.new("tube", "CURVE")
    curve.dimensions, curve.bevel_depth, curve.bevel_resolution, curve.use_fill_caps = "3D", radius, 5, True
    polyline(curve, path)
    whole = bpy.data.objects.new("tube", curve)
    data = bpy.data.meshes.new_from_object(whole)
    data.polygons.foreach_set("use_smooth", [True] * len(data.polygons))
    return link(bpy.data.objects.new("tube", data))


def leaves(
    rng: random.Random,
    places: Sequence[tuple[Vector, Vector, Vector, float]],
    *,
    slim: float,
    bend: float,
    material: bpy.types.Material,
) -> None:
    """Leaves or petals in one mesh. Each place: foot, direction, normal, length."""
    rows = 8
    sharp, teeth = rng.uniform(0.6, 1.3), rng.choice([0, 0, 0.2])
    points, faces = [], []
    for foot, along, normal, length in places:
        forward = along.normalized()
        side = forward.cross(normal)
        side = side.normalized() if side.length > 1e-4 else Vector((1, 0, 0))
        up = side.cross(forward)
        own, first = bend * rng.uniform(0.5, 1.3), len(points)
        for row in range(rows):
            t = row / (rows - 1)
            half = slim * math.sin(math.pi * min(t**sharp, 1)) ** 0.8 * (1 - teeth * (row % 2))
            spine = foot + (forward * t - up * own * t * t * 0.6) * length
            points += [
                spine - side * half * length + up * 0.15 * half * length,
                spine,
                spine + side * half * length + up * 0.15 * half * length,
            ]
        for row in range(rows - 1):
            at = first + 3 * row
            faces += [(at, at + 1, at + 4, at + 3), (at + 1, at + 2, at + 5, at + 4)]
    paint(mesh(points, faces), material)


def on_surface(rng: random.Random, thing: bpy.types.Object, count: int) -> Iterable[tuple[Vector, Vector]]:
    """Points and normals, evenly over the surface, in world space."""
    evaluated = thing.evaluated_get(bpy.context.evaluated_depsgraph_get())
    data = evaluated.to_mesh()
    data.calc_loop_triangles()
    world = thing.matrix_world
    tilt = world.to_3x3().inverted().transposed()
    triangles = [
        ([world @ data.vertices[k].co for k in face.vertices], face.normal.copy()) for face in data.loop_triangles
    ]
    evaluated.to_mesh_clear()
    sums, total = [], 0.0
    for (a, b, c), _ in triangles:
        total += (b - a).cross(c - a).length
        sums.append(total)
    for _ in range(count):
        (a, b, c), normal = triangles[min(bisect.bisect(sums, rng.random() * total), len(triangles) - 1)]
        u, v = rng.random(), rng.random()
        if u + v > 1:
            u, v = 1 - u, 1 - v
        yield a + (b - a) * u + (c - a) * v, (tilt @ normal).normalized()


def around(angle: float, radius: float = 1, z: float = 0) -> Vector:
    """A point on a level circle around the z axis."""
    return Vector((radius * math.cos(angle), radius * math.sin(angle), z))


def area(thing: bpy.types.Object) -> float:
    x, y, z = thing.dimensions
    return x * y + y * z + z * x


def link(thing: bpy.types.Object) -> bpy.types.Object:
    bpy.context.scene.collection.objects.link(thing)
    return thing


def rng_vector(rng: random.Random, scale: float) -> Vector:
    return Vector((rng.gauss(0, 1), rng.gauss(0, 1), rng.gauss(0, 1))) * (0.6 * scale)


# -------------------------------------------------------------------------------------- colours and shaders


def hsv(hue: float, saturation: float, value: float) -> Colour:
    return colorsys.hsv_to_rgb(hue % 1, min(max(saturation, 0), 1), min(max(value, 0), 1))


def any_colour(rng: random.Random) -> Colour:
    return hsv(rng.random(), rng.random() ** 0.7, math.exp(rng.uniform(-3, -0.1)))


def skin_colour(rng: random.Random) -> Colour:
    return hsv(rng.uniform(0.03, 0.08), rng.uniform(0.35, 0.65), math.exp(rng.uniform(-2, -0.2)))


def hair_colour(rng: random.Random) -> Colour:
    """Linear light: black, browns, blonds, ginger, grey, white; one in six any colour."""
    if rng.random() < 0.17:
        return any_colour(rng)
    return rng.choice(
        [
            hsv(0.07, 0.5, rng.uniform(0.006, 0.03)),
            hsv(0.06, 0.65, rng.uniform(0.03, 0.12)),
            hsv(0.07, 0.7, rng.uniform(0.12, 0.35)),
            hsv(0.1, rng.uniform(0.4, 0.65), rng.uniform(0.4, 0.75)),
            hsv(0.045, 0.85, rng.uniform(0.25, 0.6)),
            hsv(0.08, 0.1, rng.uniform(0.1, 0.45)),
            hsv(0.1, rng.uniform(0.03, 0.2), rng.uniform(0.6, 0.9)),
        ]
    )


def paint(thing: bpy.types.Object, material: bpy.types.Material) -> None:
    thing.data.materials.clear()
    thing.data.materials.append(material)


def blank_material(name: str) -> tuple[bpy.types.Material, bpy.types.NodeTree]:
    """A material with nothing but its output."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    material.node_tree.nodes.remove(material.node_tree.nodes["Principled BSDF"])
    return material, material.node_tree


def add(tree: bpy.types.NodeTree, kind: str, **inputs: object) -> bpy.types.Node:
    """A node; inputs by name are values or outputs of other nodes (`a`, `b`: the first and second input)."""
    node = tree.nodes.new(kind)
    for name, value in inputs.items():
        feed(tree, node.inputs[{"a": 0, "b": 1}.get(name, name.replace("_", " "))], value)
    return node


def feed(tree: bpy.types.NodeTree, socket: bpy.types.NodeSocket, value: object) -> None:
    """Give an input a value, or the output of another node."""
    if isinstance(value, bpy.types.NodeSocket):
        tree.links.new(value, socket)
    else:
        socket.default_value = value


def mixed(
    tree: bpy.types.NodeTree, share: object, one: object, two: object, kind: str = "ShaderNodeMixRGB"
) -> bpy.types.NodeSocket:
    """A colour between two; or, with another `kind`, a shader."""
    node = tree.nodes.new(kind)
    for socket, value in zip(node.inputs, (share, one, two), strict=True):
        feed(tree, socket, value)
    return node.outputs[0]


def ranged(tree: bpy.types.NodeTree, share: object, low: float, high: float) -> bpy.types.NodeSocket:
    """From `low` where the share is 0 to `high` where it is 1."""
    node = add(tree, "ShaderNodeMapRange", Value=share)
    node.inputs["To Min"].default_value, node.inputs["To Max"].default_value = low, high
    return node.outputs[0]


def rgba(colour: Colour, gain: float = 1.0) -> tuple[float, float, float, float]:
    return (*(min(value * gain, 1.0) for value in colour), 1.0)


def strand_material(
    rng: random.Random, colour: Colour, *, second: Colour | None = None, pattern: str = "plain", soft: bool = False
) -> bpy.types.Material:
    """Hair: darker at the root, each strand its own shade, light comes through. `soft`: yarn, without a sheen."""
    material, tree = blank_material("strand")
    info = add(tree, "ShaderNodeHairInfo").outputs
    tone: object = rgba(colour)
    if second is not None and pattern != "plain":
        place = add(tree, "ShaderNodeTexCoord").outputs["Object"]
        kind = {"spots": "ShaderNodeTexVoronoi", "stripes": "ShaderNodeTexWave", "patches": "ShaderNodeTexNoise"}[
            pattern
        ]
        texture = add(tree, kind, Vector=place, Scale=rng.uniform(2, 5) if pattern != "stripes" else rng.uniform(1, 4))
        if pattern == "stripes":
            texture.inputs["Distortion"].default_value = rng.uniform(0, 5)
            texture.bands_direction = rng.choice(["X", "Z", "DIAGONAL"])
        limit = add(tree, "ShaderNodeMapRange", Value=texture.outputs["Distance" if pattern == "spots" else "Fac"])
        middle = rng.uniform(0.35, 0.55)
        limit.inputs[1].default_value, limit.inputs[2].default_value = middle - 0.06, middle + 0.06
        tone = mixed(tree, limit.outputs[0], tone, rgba(second))
    shade = ranged(tree, info["Random"], rng.uniform(0.45, 0.8), rng.uniform(1.1, 1.5))
    fade = ranged(tree, info["Intercept"], rng.uniform(0.4, 0.9), rng.uniform(0.9, 1.6))
    gain = add(tree, "ShaderNodeMath", a=shade, b=fade)
    gain.operation = "MULTIPLY"
    hue = add(tree, "ShaderNodeHueSaturation", Color=tone, Value=gain.outputs[0], Saturation=rng.uniform(0.8, 1.1))
    if not soft and rng.random() < 0.35:
        body = add(tree, "ShaderNodeBsdfHairPrincipled", Color=hue.outputs[0], Roughness=rng.uniform(0.2, 0.45))
        shader = body.outputs[0]
    else:
        body = add(
            tree,
            "ShaderNodeBsdfPrincipled",
            Base_Color=hue.outputs[0],
            Roughness=0.9 if soft else rng.uniform(0.25, 0.6),
        )
        body.inputs["Specular"].default_value = 0.1 if soft else rng.uniform(0.2, 0.8)
        through = add(tree, "ShaderNodeBsdfTranslucent", Color=hue.outputs[0])
        shader = mixed(tree, rng.uniform(0.15, 0.45), body.outputs[0], through.outputs[0], "ShaderNodeMixShader")
    tree.links.new(shader, tree.nodes["Material Output"].inputs["Surface"])
    return material


def surface(
    rng: random.Random,
    colour: Colour,
    *,
    rough: tuple[float, float] = (0.1, 0.95),
    metallic: float = 0.0,
    pattern: float = 0.5,
    translucent: float = 0.0,
    vary: float = 0.2,
) -> bpy.types.Material:
    """A solid: plain, or with the chance `pattern` mottled, striped, tiled or in cells, with a little relief."""
    material, tree = blank_material("surface")
    tone: object = rgba(colour)
    place = add(tree, "ShaderNodeTexCoord").outputs["Object"]
    if rng.random() < pattern:
        kind = rng.choice(["Noise", "Voronoi", "Wave", "Brick", "Checker", "Magic", "Musgrave"])
        texture = add(tree, f"ShaderNodeTex{kind}", Vector=place, Scale=rng.uniform(1.5, 14))
        share = texture.outputs["Fac"] if "Fac" in texture.outputs else texture.outputs[0]
        tone = mixed(tree, share, tone, rgba(any_colour(rng)))
    island = add(tree, "ShaderNodeNewGeometry").outputs["Random Per Island"]
    hue = add(tree, "ShaderNodeHueSaturation", Color=tone, Value=ranged(tree, island, 1 - vary, 1 + vary))
    body = add(
        tree,
        "ShaderNodeBsdfPrincipled",
        Base_Color=hue.outputs[0],
        Roughness=rng.uniform(*rough),
        Metallic=float(metallic),
    )
    if rng.random() < 0.5:
        grain = add(tree, "ShaderNodeTexNoise", Vector=place, Scale=rng.uniform(5, 60), Detail=4.0)
        bump = add(tree, "ShaderNodeBump", Height=grain.outputs["Fac"], Strength=rng.uniform(0.05, 0.5), Distance=0.05)
        tree.links.new(bump.outputs[0], body.inputs["Normal"])
    shader = body.outputs[0]
    if translucent:
        through = add(tree, "ShaderNodeBsdfTranslucent", Color=hue.outputs[0])
        shader = mixed(tree, translucent, shader, through.outputs[0], "ShaderNodeMixShader")
    tree.links.new(shader, tree.nodes["Material Output"].inputs["Surface"])
    return material


def see_through(
    rng: random.Random,
    *,
    tint: Colour,
    clear: tuple[float, float],
    rim: tuple[float, float],
    pattern: bool = False,
    gloss: bool = False,
) -> bpy.types.Material:
    """Partial alpha: low where it faces the camera (`clear`), high where it turns away (`rim`); no refraction.

    A real glass bends what is behind it, which alpha cannot say; this one is what a matte can hold.
    """
    material, tree = blank_material("see-through")
    facing = add(tree, "ShaderNodeLayerWeight", Blend=rng.uniform(0.25, 0.6)).outputs["Facing"]
    share = ranged(tree, facing, rng.uniform(*clear), rng.uniform(*rim))
    if pattern:
        place = add(tree, "ShaderNodeTexCoord").outputs["Object"]
        dots = add(tree, "ShaderNodeTexVoronoi", Vector=place, Scale=rng.uniform(4, 20))
        limit = add(tree, "ShaderNodeMapRange", Value=dots.outputs["Distance"])
        edge = rng.uniform(0.2, 0.4)
        for index, value in ((1, edge - 0.05), (2, edge + 0.05), (3, rng.uniform(0.3, 1)), (4, 0.0)):
            limit.inputs[index].default_value = value
        more = add(tree, "ShaderNodeMath", a=share, b=limit.outputs[0])
        more.operation = "MAXIMUM"
        share = more.outputs[0]
    body = add(
        tree,
        "ShaderNodeBsdfPrincipled",
        Base_Color=rgba(tint),
        Roughness=rng.uniform(0.02, 0.2) if gloss else rng.uniform(0.3, 0.9),
    )
    body.inputs["Specular"].default_value = rng.uniform(0.5, 1.0)
    through = add(tree, "ShaderNodeBsdfTranslucent", Color=rgba(tint))
    cloth = mixed(tree, 0.1 if gloss else 0.45, body.outputs[0], through.outputs[0], "ShaderNodeMixShader")
    nothing = add(tree, "ShaderNodeBsdfTransparent").outputs[0]
    final = mixed(tree, share, nothing, cloth, "ShaderNodeMixShader")
    tree.links.new(final, tree.nodes["Material Output"].inputs["Surface"])
    return material


def glow(colour: Colour, strength: float) -> bpy.types.Material:
    material, tree = blank_material("glow")
    shine = add(tree, "ShaderNodeEmission", Color=rgba(colour), Strength=strength)
    tree.links.new(shine.outputs[0], tree.nodes["Material Output"].inputs["Surface"])
    return material


main()
