"""Render a person with hair in Blender, 6 megapixels: straight RGBA with exact soft alpha.

    for pass in 0 1 2; do
        for y in 900 675 1125 1350 1575 1800 450 2025 2250 2475 225 0; do
            blender -b --python-exit-code 1 --python examples/render_portrait.py -- \
                ASSETS PASSES/$pass/$(printf %04d $y).png --samples 68 --noise $pass --window 0 $y 2240 $((y + 225))
        done
    done

Then examples/make_example.py joins the bands, takes the mean of the passes and lays it over a photograph. Without
--window it is one picture, without --noise one pass. The shipped portrait is the mean of a pass of 64 samples and two
of 68.

ASSETS is a folder with CC0 files: makehuman/data (MakeHuman's base mesh, targets and eyes), system (the pack "MakeHuman
system assets": skins, lashes, brows, clothes, hair) and light.hdr (brown_photostudio_02 of polyhaven.com at 1k).
Hardware:  a CPU; Debian's Blender 3.4 with NumPy is enough.
Time:      a band of 225 rows takes 2.5 minutes of two idle cores where it is full of hair or skin (68 samples; measured
           for the first), seconds where it is empty; about an hour of one core a pass (estimated). A band that is there
           is not needed again.
Expected:  16 bit PNGs, the same again on the same Blender.

Hair is drawn as strands along the columns of MakeHuman's style "long01", because the texture of the style itself shows
its pixels in a large picture. Lengths are in MakeHuman's unit, a decimetre; its y is up, its z is forward, and its x is
to the person's left. Read top to bottom:

    main                 the scene, part by part
    person               body, clothes, eyes, lashes and brows
    hair                 strands along the hair mesh, gathered into locks
    stage                camera, lights, sampling
    read_obj ...         MakeHuman's files
    material ...         shaders
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import bpy
import numpy as np
from mathutils import Vector

SKIN = "skins/young_caucasian_female2/young_lightskinned_female_diffuse2.jpg"
CLOTHES = "clothes/female_sportsuit01"
PARTS = ("eyelashes/eyelashes01", "eyebrows/eyebrow001")
MIX = {"caucasian": 0.7, "asian": 0.2, "african": 0.1}
NECK = (5.1, 6.0, 0.0)  # height where the turn of the head begins and where it is full, depth of the axis
TURN, TILT = math.radians(24), math.radians(5)  # of the head, against the shoulders
SMILE = (  # centre at the left of the face, shift, width of the area that moves
    ((0.215, 6.04, 1.30), (0.035, 0.050, -0.02), 0.075),
    ((0.360, 6.25, 1.20), (0.010, 0.035, 0.025), 0.140),
    ((0.300, 6.56, 1.38), (0.0, 0.018, 0.0), 0.06),
)
STRANDS, STEPS = 26000, 28
LENGTH = 3.9
RADIUS = 0.0009  # of a strand
WIND = np.array([1.3, 0.8, -0.1])  # how far the tips are blown
TARGET = Vector((0.46, -0.2, 6.25))  # what the camera looks at; this and the lamps are in Blender's axes
YAW, DISTANCE = math.radians(28), 11.3
PROBE = 0.4  # mean of the light that comes from all around
LAMPS = (  # watts, size, colour, place from TARGET
    (560, 2.2, (1.0, 0.92, 0.82), (-2.5, -5.5, 3.0)),
    (2600, 1.8, (1.0, 0.88, 0.70), (3.0, 4.0, 3.4)),
)
Shade = tuple[str, tuple[float, float, float]]
HAIR: tuple[Shade, ...] = (  # shader and colour: sheen, light that comes through, dull body
    ("Hair", (0.80, 0.55, 0.36)),
    ("Hair", (0.60, 0.27, 0.10)),
    ("Diffuse", (0.15, 0.065, 0.03)),
)


class Obj(NamedTuple):
    vertices: np.ndarray  # n x 3
    uvs: np.ndarray  # m x 2
    faces: list[list[int]]
    face_uvs: list[list[int]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="render_portrait.py")
    parser.add_argument("assets", type=Path)
    parser.add_argument("out", type=Path)
    for name, value in (("width", 2240), ("height", 2700), ("samples", 200), ("threads", 2), ("seed", 0), ("noise", 0)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--window", type=int, nargs=4, metavar=("X0", "Y0", "X1", "Y1"), help="only these pixels")
    args = parser.parse_args(sys.argv[sys.argv.index("--") + 1 :])
    bpy.ops.wm.read_factory_settings(use_empty=True)
    body = person(args.assets)
    hair(args.assets, body, np.random.default_rng(args.seed))
    stage(args)
    sampling(args)
    bpy.ops.render.render(write_still=True)


def person(assets: Path) -> np.ndarray:
    """All but the hair. Returns the vertices of the body, before the head is turned."""
    data, system = assets / "makehuman" / "data", assets / "system"
    base = read_obj(data / "3dobjs" / "base.obj", group="body")
    body = base.vertices.copy()
    targets = data / "targets" / "macrodetails"
    add_target(body, targets / "universal-female-young-averagemuscle-averageweight.target", 1)
    for name, weight in MIX.items():
        add_target(body, targets / f"{name}-female-young.target", weight)
    smile(body)
    cloth = read_obj(next((system / CLOTHES).glob("*.obj")))
    fitted, hidden = fit(next((system / CLOTHES).glob("*.mhclo")), body)
    picture = next((system / CLOTHES).glob("*diffuse.png"))
    dye = {"hsv": (0.5, 0.0, 1.0), "tint": (0.16, 0.36, 0.42)}
    weave = material(picture, roughness=0.9, specular=0.1, bump=True, **dye)
    mesh("clothes", cloth._replace(vertices=fitted), weave, levels=2)
    seen = [k for k, face in enumerate(base.faces) if not all(vertex in hidden for vertex in face)]
    look = {"roughness": 0.42, "specular": 0.4, "scatter": 0.12, "hsv": (0.5, 1.1, 0.85)}
    skin = material(system / SKIN, alpha=False, bump=True, **look)
    faces, face_uvs = ([part[k] for k in seen] for part in (base.faces, base.face_uvs))
    mesh("body", Obj(body, base.uvs, faces, face_uvs), skin, levels=2)
    eyes = data / "eyes"
    part(
        eyes / "high-poly", eyes / "materials" / "brown_eye.png", body, hsv=(0.53, 0.75, 0.9), roughness=0.05, levels=1
    )
    for folder in PARTS:
        part(system / folder, next((system / folder).glob("*.png")), body, roughness=0.6, hsv=(0.5, 1, 0.5))
    return body


def smile(body: np.ndarray) -> None:
    """A slight one: the corners of the mouth and the cheeks go up."""
    for side in (-1, 1):
        for at, shift, width in SMILE:
            distance2 = ((body - np.array(at) * (side, 1, 1)) ** 2).sum(1)
            body += np.exp(-distance2 / (2 * width**2))[:, None] * np.array(shift) * (side, 1, 1)


def part(folder: Path, texture: Path, body: np.ndarray, *, levels: int = 0, **look: object) -> None:
    shape = read_obj(next(folder.glob("*.obj")))
    fitted, _ = fit(next(folder.glob("*.mhclo")), body)
    mesh(folder.name, shape._replace(vertices=fitted), material(texture, **look), levels=levels)


# hair


def hair(assets: Path, body: np.ndarray, rng: np.random.Generator) -> None:
    folder = assets / "system" / "hair" / "long01"
    shape = read_obj(folder / "long01.obj")
    fitted, _ = fit(folder / "long01.mhclo", body)
    sheets = [columns(strips, fitted) for strips in strips_of(shape)]
    width = np.array([np.linalg.norm(np.diff(sheet, axis=0), axis=2).mean(1).sum() for sheet in sheets])
    width[width < 0.5 * width.max()] *= 0.35  # single locks
    share = width / width.sum()
    paths = [strands(sheet, max(8, round(STRANDS * part)), rng) for sheet, part in zip(sheets, share, strict=True)]
    grow(turned(np.concatenate(paths)), rng)


def strips_of(shape: Obj) -> list[list[tuple[list[int], list[int]]]]:
    """The quads of each island of the texture as strips from tip to root, left to right: their two edges."""
    island = list(range(len(shape.uvs)))

    def root(k: int) -> int:
        while island[k] != k:
            island[k] = k = island[island[k]]
        return k

    for face in shape.face_uvs:
        for corner in face[1:]:
            island[root(corner)] = root(face[0])
    groups: dict[int, list[int]] = {}
    for k, face in enumerate(shape.face_uvs):
        groups.setdefault(root(face[0]), []).append(k)
    return [walk_up(shape, faces) for faces in groups.values()]


def walk_up(shape: Obj, faces: list[int]) -> list[tuple[list[int], list[int]]]:
    edges: dict[frozenset[int], list[int]] = {}
    point = {}
    for k in faces:
        corners = shape.face_uvs[k]
        for corner, vertex in zip(corners, shape.faces[k], strict=True):
            point[corner] = vertex
        for a, b in zip(corners, corners[1:] + corners[:1], strict=True):
            edges.setdefault(frozenset((a, b)), []).append(k)
    v = shape.uvs[[*point], 1]
    low = v.min() + 0.12 * (v.max() - v.min())
    strips = []
    for edge, owners in edges.items():
        a, b = sorted(edge, key=lambda corner: shape.uvs[corner, 0])
        (ua, va), (ub, vb) = shape.uvs[a], shape.uvs[b]
        if len(owners) != 1 or max(va, vb) > low or abs(ub - ua) < abs(vb - va):
            continue
        left, right, face = [a], [b], owners[0]
        while face is not None:
            corners = shape.face_uvs[face]
            if len(corners) != 4:
                break
            k = corners.index(left[-1])
            # the neighbour of a corner that is not the other end of this edge is the next of its side
            ahead, behind = corners[(k + 1) % 4], corners[k - 1]
            up_left = behind if ahead == right[-1] else ahead
            up_right = next(c for c in corners if c not in (left[-1], right[-1], up_left))
            left.append(up_left)
            right.append(up_right)
            onward = [k for k in edges[frozenset((up_left, up_right))] if k != face]
            face = onward[0] if onward else None
        strips.append((shape.uvs[left[0], 0], [point[c] for c in left], [point[c] for c in right]))
    return [(left, right) for _, left, right in sorted(strips, key=lambda strip: strip[0])]


def columns(strips: list[tuple[list[int], list[int]]], vertices: np.ndarray) -> np.ndarray:
    """Lines from root to tip, one more than there are strips, each of STEPS points: columns x steps x 3."""
    sides = np.array([[along(from_parting(vertices[side[::-1]]), STEPS) for side in strip] for strip in strips])
    inner = (sides[:-1, 1] + sides[1:, 0]) / 2
    return np.concatenate([sides[:1, 0], inner, sides[-1:, 1]])


def from_parting(path: np.ndarray) -> np.ndarray:
    """Without the points at the root that run along the parting from front to back."""
    step = np.diff(path, axis=0)
    for k in range(len(step)):
        if path[k, 1] < 7.2 or abs(path[k, 0]) > 0.3 or abs(step[k, 0]) > 1.5 * abs(step[k, 2]):
            return path[k:]
    return path


def along(path: np.ndarray, steps: int) -> np.ndarray:
    """A path resampled to points of equal distance, its corners rounded."""
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    out = np.stack([np.interp(np.linspace(0, min(LENGTH, length[-1]), steps), length, path[:, k]) for k in range(3)], 1)
    for _ in range(2):
        out[1:-1] = (out[:-2] + 2 * out[1:-1] + out[2:]) / 4
    return out


def strands(sheet: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Strands in a layer below one sheet of the hair mesh, gathered into locks: count x steps x 3."""
    wide = np.linalg.norm(np.diff(sheet, axis=0), axis=2).mean(1)
    edge = np.concatenate([[0], np.cumsum(wide)])
    many = len(sheet) > 3
    normal = outward(sheet)
    t = np.linspace(0, 1, STEPS)
    locks = max(2, round(edge[-1] / 0.11))
    centre = np.sort(rng.uniform(0, edge[-1], locks))
    at = rng.uniform(0, edge[-1], count)
    lock = np.abs(at[:, None] + rng.normal(0, 0.05, (count, 1)) - centre[None]).argmin(1)
    across = np.interp(at, edge, np.arange(len(edge)))
    middle = np.interp(centre, edge, np.arange(len(edge)))
    place, out = blend(sheet, across), unit(blend(normal, across))
    lock_place, lock_out = blend(sheet, middle), unit(blend(normal, middle))
    side = unit(np.cross(lock_out, unit(np.gradient(lock_place, axis=1))))
    # depth below the sheet: little at the root, most by the ear, locks lie at depths of their own
    thick = 0.05 + 0.22 * smooth(0, 0.35, t) - 0.10 * smooth(0.6, 1, t)
    depth = rng.random((count, 1)) ** 0.8 * thick * (1 if many else 0.5)
    place = place - out * depth[..., None]
    lock_depth = rng.random((locks, 1)) * thick * 0.8
    lock_place = lock_place - lock_out * lock_depth[..., None]
    # a loose wave, in step within a lock and nearly so between neighbours
    size = (0.11 * smooth(0.15, 0.7, t))[None, :, None] * rng.uniform(0.5, 1.3, (locks, 1, 1))
    phase = np.cumsum(rng.normal(0, 0.55, locks)) + rng.uniform(0, 6.28)
    angle = (2 * math.pi * rng.uniform(1.7, 2.4, (locks, 1)) * t + phase[:, None])[..., None]
    swing = size * (np.sin(angle) * side + 0.7 * np.cos(angle) * lock_out)
    swing = swing + (rng.normal(0.03, 0.07, (locks, 1)) * t**2)[..., None] * lock_out
    swing = swing + (rng.normal(0, 0.09, (locks, 1)) * t**2)[..., None] * side
    # the wind lifts the lower part off the shoulders, each lock a little differently
    gust = rng.uniform(0.4, 1.3, (locks, 1, 1)) * (t**1.7)[None, :, None]
    left = smooth(-0.5, 0.5, lock_place[:, :1, 0])[..., None]
    swing = swing + gust * (WIND * left + lock_out * (0.5 * (1 - left)))
    hold = (rng.uniform(0.5, 0.97, (count, 1)) * smooth(0.1, 0.9, t))[..., None]
    place = place + (lock_place[lock] - place) * hold + swing[lock]
    # every strand bends a little on its own, some a lot: flyaway hair
    loose = np.where(rng.random(count) < 0.02, rng.exponential(0.09, count) + 0.03, 0.0)
    bend = (0.010 + 0.012 * rng.random(count))[:, None] * (0.15 + t) + loose[:, None] * smooth(0.05, 1, t)
    place = place + wander(rng, count, t) * bend[..., None]
    place = place + out * (loose[:, None] * rng.uniform(0.2, 1.3, (count, 1)) * smooth(0, 0.9, t))[..., None]
    start = rng.exponential(0.02, count)
    short = np.abs(rng.normal(0, 0.04, count)) + rng.uniform(0, 0.25, locks)[lock]
    return shortened(place, start, 1 - short - 0.5 * (loose > 0) * rng.random(count))


def wander(rng: np.random.Generator, count: int, t: np.ndarray) -> np.ndarray:
    """Smooth random displacement along each strand: count x steps x 3, about 1."""
    total = np.zeros((count, len(t), 3))
    for waves in (0.7, 1.6, 3.4):
        pace = waves * rng.uniform(0.7, 1.4, (count, 1, 3))
        total += np.sin(2 * math.pi * (pace * t[None, :, None] + rng.random((count, 1, 3)))) / waves**0.7
    return total - total[:, :1]


def blend(lines: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Catmull-Rom between the lines: lines x steps x 3 at fractional line numbers."""
    k = np.clip(at.astype(int), 0, len(lines) - 2)
    s = (at - k)[:, None, None]
    pad = np.concatenate([2 * lines[:1] - lines[1:2], lines, 2 * lines[-1:] - lines[-2:-1]])
    a, b, c, d = (pad[k + n] for n in range(4))
    return b + 0.5 * s * (c - a + s * (2 * a - 5 * b + 4 * c - d + s * (3 * (b - c) + d - a)))


def outward(sheet: np.ndarray) -> np.ndarray:
    """Normals of a sheet of hair, away from the head and the neck."""
    wide = np.gradient(sheet, axis=0) if len(sheet) > 2 else np.repeat(np.diff(sheet, axis=0), 2, axis=0)
    normal = unit(np.cross(wide, np.gradient(sheet, axis=1)))
    axis = np.stack([np.zeros(sheet.shape[:2]), np.minimum(sheet[..., 1], 7.2), np.full(sheet.shape[:2], 0.1)], -1)
    flip = np.sign((normal * (sheet - axis)).sum(-1).mean())
    return normal * flip


def shortened(paths: np.ndarray, start: np.ndarray, share: np.ndarray) -> np.ndarray:
    at = (STEPS - 1) * (start[:, None] + (np.clip(share, 0.25, 1) - start)[:, None] * np.linspace(0, 1, STEPS))
    k = np.minimum(at.astype(int), STEPS - 2)
    rows = np.arange(len(paths))[:, None]
    s = (at - k)[..., None]
    return paths[rows, k] * (1 - s) + paths[rows, k + 1] * s


def unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)


def smooth(low: float, high: float, t: np.ndarray) -> np.ndarray:
    x = np.clip((t - low) / (high - low), 0, 1)
    return x * x * (3 - 2 * x)


def grow(
    paths: np.ndarray, rng: np.random.Generator, *, radius: float = RADIUS, shades: Sequence[Shade] = HAIR
) -> None:
    """Cycles hair along paths. Blender 3.4 has no Python call for that: a geometry node copies a legacy curve."""
    curve = bpy.data.curves.new("source", "CURVE")
    curve.dimensions = "3D"
    points = to_blender(paths)
    t = np.linspace(0, 1, STEPS)
    taper = (1 - 0.65 * t**1.8) * (0.4 + 0.6 * smooth(0, 0.06, t))
    for path in points:
        spline = curve.splines.new("POLY")
        spline.points.add(STEPS - 1)
        spline.points.foreach_set("co", np.concatenate([path, np.ones((STEPS, 1))], 1).ravel())
        spline.points.foreach_set("radius", radius * rng.uniform(0.7, 1.3) * taper)
    source = link(bpy.data.objects.new("source", curve))
    source.hide_render = True
    look = hair_material(shades)
    group = bpy.data.node_groups.new("copy", "GeometryNodeTree")
    group.outputs.new("NodeSocketGeometry", "Geometry")
    kinds = ("GeometryNodeObjectInfo", "GeometryNodeSetMaterial", "NodeGroupOutput")
    info, dress, out = (group.nodes.new(kind) for kind in kinds)
    info.inputs["Object"].default_value, dress.inputs["Material"].default_value = source, look
    group.links.new(info.outputs["Geometry"], dress.inputs["Geometry"])
    group.links.new(dress.outputs["Geometry"], out.inputs[0])
    hairs = bpy.data.hair_curves.new("hair")
    hairs.materials.append(look)
    link(bpy.data.objects.new("hair", hairs)).modifiers.new("copy", "NODES").node_group = group


# stage


def stage(args: argparse.Namespace) -> None:
    """A camera in front, a soft lamp at its left, a strong one behind at the right, a light probe all around."""
    scene = bpy.context.scene
    camera = bpy.data.cameras.new("camera")
    camera.lens, camera.sensor_fit, camera.sensor_height = 85, "VERTICAL", 36
    stand = link(bpy.data.objects.new("camera", camera))
    stand.location = TARGET + Vector((math.sin(YAW), -math.cos(YAW), 0.02)) * DISTANCE
    aim(stand, TARGET + Vector((0, 0, -0.05)))
    scene.camera = stand
    for watts, size, colour, at in LAMPS:
        lamp = bpy.data.lights.new("lamp", "AREA")
        lamp.energy, lamp.size, lamp.color = watts, size, colour
        thing = link(bpy.data.objects.new("lamp", lamp))
        thing.location = TARGET + Vector(at)
        aim(thing, TARGET)
    world = bpy.data.worlds.new("world")
    scene.world, world.use_nodes = world, True
    tree = world.node_tree
    probe = tree.nodes.new("ShaderNodeTexEnvironment")
    probe.image = bpy.data.images.load(str(args.assets / "light.hdr"))
    tree.links.new(probe.outputs[0], tree.nodes["Background"].inputs[0])
    mean = np.array(probe.image.pixels[:]).reshape(-1, 4)[::97, :3].mean()
    tree.nodes["Background"].inputs[1].default_value = PROBE / mean


def sampling(args: argparse.Namespace) -> None:
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    cycles, render = scene.cycles, scene.render
    cycles.device, cycles.samples, cycles.use_denoising = "CPU", args.samples, False
    cycles.seed = args.noise
    cycles.use_adaptive_sampling, cycles.adaptive_threshold = True, 0.04
    cycles.adaptive_min_samples = max(16, args.samples // 2)
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces, cycles.transmission_bounces = 1, 1, 1, 1
    cycles.transparent_max_bounces = 16
    cycles.sample_clamp_direct, cycles.sample_clamp_indirect = 6, 1.5
    scene.cycles_curves.shape, scene.cycles_curves.subdivisions = "RIBBONS", 0
    render.film_transparent = True
    render.resolution_x, render.resolution_y, render.resolution_percentage = args.width, args.height, 100
    if args.window:
        x0, y0, x1, y1 = args.window
        render.use_border = render.use_crop_to_border = True
        render.border_min_x, render.border_max_x = x0 / args.width, x1 / args.width
        render.border_min_y, render.border_max_y = 1 - y1 / args.height, 1 - y0 / args.height
    render.threads_mode, render.threads = "FIXED", args.threads
    scene.view_settings.view_transform = "Filmic"
    scene.view_settings.look = "Medium High Contrast"
    image = render.image_settings
    image.file_format, image.color_mode, image.color_depth = "PNG", "RGBA", "16"
    render.filepath = str(args.out)


def aim(thing: bpy.types.Object, at: Vector) -> None:
    thing.rotation_euler = (at - thing.location).to_track_quat("-Z", "Y").to_euler()


# MakeHuman's files


def read_obj(path: Path, group: str | None = None) -> Obj:
    """All vertices of a Wavefront file, the faces of one group or of all."""
    vertices, uvs, faces, face_uvs, wanted = [], [], [], [], group is None
    for line in path.read_text(errors="replace").splitlines():
        kind, *rest = line.split() or [""]
        if kind == "v":
            vertices.append([float(value) for value in rest[:3]])
        elif kind == "vt":
            uvs.append([float(value) for value in rest[:2]])
        elif kind == "g" and group is not None:
            wanted = rest[0] == group
        elif kind == "f" and wanted:
            corners = [corner.split("/") for corner in rest]
            faces.append([int(corner[0]) - 1 for corner in corners])
            face_uvs.append([int(corner[1]) - 1 for corner in corners])
    return Obj(np.array(vertices), np.array(uvs), faces, face_uvs)


def add_target(body: np.ndarray, path: Path, weight: float) -> None:
    """Move the vertices that a target names."""
    for line in path.read_text().splitlines():
        fields = line.split()
        if len(fields) == 4 and fields[0] != "#":
            body[int(fields[0])] += weight * np.array([float(value) for value in fields[1:]])


def fit(path: Path, body: np.ndarray) -> tuple[np.ndarray, set[int]]:
    """The vertices of a piece that hangs on the body, and the vertices of the body that it hides."""
    scale, ties, hidden, section = np.ones(3), [], set(), ""
    for line in path.read_text(errors="replace").splitlines():
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        if fields[0] in ("x_scale", "y_scale", "z_scale"):
            axis = "xyz".index(fields[0][0])
            scale[axis] = abs(body[int(fields[1]), axis] - body[int(fields[2]), axis]) / float(fields[3])
        elif not fields[0].isdigit():
            section = fields[0] if fields[0] in ("verts", "delete_verts", "weights") else section
        elif section == "verts":
            alone = len(fields) < 9  # the piece's vertex is one of the body's
            ties.append([int(fields[0])] * 3 + [1, 0, 0, 0, 0, 0] if alone else [float(value) for value in fields])
        elif section == "delete_verts":
            for run in " ".join(fields).replace(" - ", "-").split():
                first, _, last = run.partition("-")
                hidden.update(range(int(first), int(last or first) + 1))
    tie = np.array([row[:9] for row in ties])
    near = body[tie[:, :3].astype(int)]
    return (near * tie[:, 3:6, None]).sum(1) + tie[:, 6:9] * scale, hidden


def turned(points: np.ndarray) -> np.ndarray:
    """Points after the head has turned and tilted; the neck follows in part."""
    share = smooth(NECK[0], NECK[1], points[..., 1])
    x, y, z = (points[..., k] for k in range(3))
    angle = share * TURN
    z = z - NECK[2]
    x, z = x * np.cos(angle) + z * np.sin(angle), z * np.cos(angle) - x * np.sin(angle)
    angle = share * TILT
    y = y - NECK[1]
    x, y = x * np.cos(angle) - y * np.sin(angle), y * np.cos(angle) + x * np.sin(angle)
    return np.stack([x, y + NECK[1], z + NECK[2]], -1)


def to_blender(points: np.ndarray) -> np.ndarray:
    """MakeHuman's y is up, Blender's z."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], -1)


def mesh(name: str, shape: Obj, look: bpy.types.Material, *, levels: int = 0) -> None:
    count = len(shape.vertices)
    kept = [k for k, face in enumerate(shape.faces) if max(face) < count]
    data = bpy.data.meshes.new(name)
    data.from_pydata(to_blender(turned(shape.vertices)).tolist(), [], [shape.faces[k] for k in kept])
    layer = data.uv_layers.new(name="uv")
    layer.data.foreach_set(
        "uv", np.concatenate([shape.uvs[shape.face_uvs[k]] for k in kept]).astype(np.float32).ravel()
    )
    data.polygons.foreach_set("use_smooth", [True] * len(data.polygons))
    data.materials.append(look)
    thing = link(bpy.data.objects.new(name, data))
    if levels:
        smoother = thing.modifiers.new("smooth", "SUBSURF")
        smoother.levels = smoother.render_levels = levels


def link(thing: bpy.types.Object) -> bpy.types.Object:
    bpy.context.collection.objects.link(thing)
    return thing


# shaders


def material(
    texture: Path,
    *,
    roughness: float = 0.5,
    specular: float = 0.4,
    scatter: float = 0.0,
    alpha: bool = True,
    bump: bool = False,
    hsv: tuple[float, float, float] = (0.5, 1, 1),
    tint: tuple[float, float, float] = (1, 1, 1),
) -> bpy.types.Material:
    look = bpy.data.materials.new(texture.stem)
    look.use_nodes = True
    nodes, links = look.node_tree.nodes, look.node_tree.links
    body = nodes["Principled BSDF"]
    image = nodes.new("ShaderNodeTexImage")
    image.image, image.interpolation = bpy.data.images.load(str(texture), check_existing=True), "Cubic"
    shift, mix = nodes.new("ShaderNodeHueSaturation"), nodes.new("ShaderNodeMixRGB")
    for name, value in zip(("Hue", "Saturation", "Value"), hsv, strict=True):
        shift.inputs[name].default_value = value
    mix.blend_type, mix.inputs[0].default_value, mix.inputs[2].default_value = "MULTIPLY", 1, (*tint, 1)
    links.new(image.outputs["Color"], shift.inputs["Color"])
    links.new(shift.outputs[0], mix.inputs[1])
    links.new(mix.outputs[0], body.inputs["Base Color"])
    body.inputs["Roughness"].default_value, body.inputs["Specular"].default_value = roughness, specular
    if scatter:
        body.inputs["Subsurface"].default_value = scatter
        body.inputs["Subsurface Radius"].default_value = (0.08, 0.03, 0.015)
        links.new(mix.outputs[0], body.inputs["Subsurface Color"])
    if alpha:
        links.new(image.outputs["Alpha"], body.inputs["Alpha"])
    if bump:
        place, noise, push = (nodes.new(f"ShaderNode{kind}") for kind in ("TexCoord", "TexNoise", "Bump"))
        noise.inputs["Scale"].default_value, noise.inputs["Detail"].default_value = 60, 4
        push.inputs["Strength"].default_value, push.inputs["Distance"].default_value = 0.12, 0.02
        links.new(place.outputs["Object"], noise.inputs["Vector"])
        links.new(noise.outputs["Fac"], push.inputs["Height"])
        links.new(push.outputs[0], body.inputs["Normal"])
    return look


def hair_material(shades: Sequence[Shade]) -> bpy.types.Material:
    """A sheen, light that comes through, and a dull body; every strand has its own shade, tips are lighter."""
    look = bpy.data.materials.new("hair")
    look.use_nodes = True
    nodes, links = look.node_tree.nodes, look.node_tree.links
    info, shade, tips, gain = (nodes.new(f"ShaderNode{kind}") for kind in ("HairInfo", "MapRange", "MapRange", "Math"))
    shade.inputs["To Min"].default_value, shade.inputs["To Max"].default_value = 0.55, 1.35
    tips.inputs["To Min"].default_value, tips.inputs["To Max"].default_value = 0.8, 1.25
    gain.operation = "MULTIPLY"
    links.new(info.outputs["Random"], shade.inputs["Value"])
    links.new(info.outputs["Intercept"], tips.inputs["Value"])
    links.new(shade.outputs[0], gain.inputs[0])
    links.new(tips.outputs[0], gain.inputs[1])
    lobes = []
    for kind, colour in shades:
        tone, lobe = nodes.new("ShaderNodeHueSaturation"), nodes.new(f"ShaderNodeBsdf{kind}")
        tone.inputs["Color"].default_value = (*colour, 1)
        links.new(gain.outputs[0], tone.inputs["Value"])
        links.new(tone.outputs[0], lobe.inputs["Color"])
        lobes.append(lobe)
    sheen, through, _ = lobes
    sheen.component, through.component = "Reflection", "Transmission"
    for lobe in (sheen, through):
        lobe.inputs["Offset"].default_value = -math.radians(4)
        lobe.inputs["RoughnessU"].default_value, lobe.inputs["RoughnessV"].default_value = 0.18, 0.6
    result = lobes[0].outputs[0]
    for lobe, share in zip(lobes[1:], (0.4, 0.38), strict=True):
        mix = nodes.new("ShaderNodeMixShader")
        mix.inputs[0].default_value = share
        links.new(result, mix.inputs[1])
        links.new(lobe.outputs[0], mix.inputs[2])
        result = mix.outputs[0]
    links.new(result, nodes["Material Output"].inputs["Surface"])
    return look


if __name__ == "__main__":
    main()
