"""Render people with hair in Blender: straight RGBA with exact soft alpha, one seed a picture.

    blender -b --python-exit-code 1 --python recipes/render_heads.py -- ASSETS OUT FIRST_SEED COUNT \
        [--size 640 768] [--samples 64] [--hair FOLDER ...]

ASSETS is the folder that examples/render_portrait.py takes, with light probes of polyhaven.com (CC0) as lights/*.hdr;
light.hdr alone will do. --hair names folders with more hair styles (an .mhclo, an .obj, a texture). Whoever ships
their pictures, or weights that learned from them, credits the styles as their licence says: OUT/index.jsonl has the
style of every picture.

Hardware:  a CPU; Debian's Blender 3.4 with NumPy.
Time:      40 to 100 s of one core a picture at 640 x 768 and 64 samples.
Expected:  OUT/head_<seed>.png, the same again on the same Blender. What is there is skipped, and what is being written
           has another name. Then recipes/pack_foregrounds.py. Nothing is denoised, so alpha is what the camera saw.

MakeHuman's files, the body and the strands are read and made as in examples/render_portrait.py; lengths are in
decimetres, y is up. Read top to bottom:

    main           the seeds, one after another
    person         body, skin, clothes, eyes, lashes, brows
    hair           a style of MakeHuman, and single hairs that leave it
    glasses, hat, veil
    stage          camera and lights
"""

import argparse
import json
import math
import random
import sys
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
import render_portrait as portrait

Colour = tuple[float, float, float]
TINTS = (  # saturation, brightness and colour of a hair style's texture
    (1.0, 1.0, (1, 1, 1)),
    (0.9, 1.7, (1, 1, 1)),
    (0.6, 2.6, (1, 1, 1)),
    (0.1, 3.0, (1, 1, 1)),
    (1.0, 0.5, (1, 1, 1)),
    (1.1, 2.0, (1.0, 0.55, 0.35)),
    (0.9, 2.6, (1.0, 0.8, 0.5)),
    (0.3, 1.6, (1, 1, 1)),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="render_heads.py")
    parser.add_argument("assets", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("first_seed", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--size", type=int, nargs=2, default=(640, 768), metavar=("WIDTH", "HEIGHT"))
    for name, value in (("samples", 64), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--hair", type=Path, action="append", default=[], help="folder of more hair styles; repeatable")
    args = parser.parse_args(sys.argv[sys.argv.index("--") + 1 :])
    args.out.mkdir(parents=True, exist_ok=True)
    styles = sorted(path for folder in (args.assets / "system" / "hair", *args.hair) for path in folder.iterdir())
    for seed in range(args.first_seed, args.first_seed + args.count):
        path = args.out / f"head_{seed:06d}.png"
        if not path.exists():
            style = styles[seed % len(styles)]
            render(args, random.Random(seed), style, seed, path)
            with (args.out / "index.jsonl").open("a") as index:
                index.write(json.dumps({"file": path.name, "hair": f"{style.parent.name}/{style.name}"}) + "\n")


def render(args: argparse.Namespace, rng: random.Random, style: Path, seed: int, path: Path) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    male = rng.random() < (0.7 if style.name.startswith("short") else 0.05)
    body, eyes = person(args.assets, rng, male=male)
    top = hair(style, body, rng, np.random.default_rng(seed))
    for chance, thing in ((0.15, glasses), (0.12, hat), (0.12, veil)):
        if rng.random() < chance:
            thing(eyes, rng)
    stage(args, rng, eyes, top)
    half = path.with_suffix(".part.png")
    portrait.sampling(
        argparse.Namespace(
            out=half,
            width=args.size[0],
            height=args.size[1],
            samples=args.samples,
            threads=args.threads,
            noise=seed,
            window=None,
        )
    )
    scene = bpy.context.scene
    scene.render.image_settings.color_depth = "8"
    scene.cycles.transparent_max_bounces = 48
    if rng.random() < 0.5:
        scene.view_settings.view_transform, scene.view_settings.look = "Standard", "None"
    bpy.ops.render.render(write_still=True)
    half.rename(path)


def person(assets: Path, rng: random.Random, *, male: bool) -> tuple[np.ndarray, np.ndarray]:
    """All but the hair. Returns the vertices of the body and of the eyes, before the head is turned."""
    data, system, sex = assets / "makehuman" / "data", assets / "system", "male" if male else "female"
    base = portrait.read_obj(data / "3dobjs" / "base.obj", group="body")
    body, targets = base.vertices.copy(), data / "targets" / "macrodetails"
    portrait.add_target(body, targets / f"universal-{sex}-young-averagemuscle-averageweight.target", 1)
    shares = [rng.random() ** 2 for _ in range(3)]
    for name, share in zip(("caucasian", "asian", "african"), shares, strict=True):
        portrait.add_target(body, targets / f"{name}-{sex}-young.target", share / sum(shares))
    folder = rng.choice(sorted(path for path in (system / "clothes").iterdir() if path.name.startswith(sex)))
    cloth = portrait.read_obj(next(folder.glob("*.obj")))
    fitted, hidden = portrait.fit(next(folder.glob("*.mhclo")), body)
    dye = (rng.random(), rng.uniform(0.3, 1.2), rng.uniform(0.5, 1.5))
    weave = portrait.material(next(folder.glob("*diffuse.png")), roughness=0.9, specular=0.1, bump=True, hsv=dye)
    portrait.mesh("clothes", cloth._replace(vertices=fitted), weave, levels=1)
    skins = [path for path in (system / "skins").glob("*/*.jpg") if ("female" in path.parent.name) != male]
    dark = rng.choice((1.0, 1.0, 0.75, 0.45))  # of a light skin
    skin = portrait.material(
        rng.choice(sorted(skins)),
        alpha=False,
        bump=True,
        roughness=rng.uniform(0.35, 0.5),
        scatter=0.1,
        hsv=(0.5, rng.uniform(0.85, 1.1), rng.uniform(0.85, 1.1)),
        tint=(dark, dark**1.4, dark**1.8),
    )
    seen = [k for k, face in enumerate(base.faces) if not all(vertex in hidden for vertex in face)]
    faces, face_uvs = ([one[k] for k in seen] for one in (base.faces, base.face_uvs))
    portrait.mesh("body", portrait.Obj(body, base.uvs, faces, face_uvs), skin, levels=1)
    eyes = data / "eyes"
    iris = {"hsv": (rng.uniform(0.35, 0.75), rng.uniform(0.3, 1.2), rng.uniform(0.8, 1.6)), "roughness": 0.05}
    portrait.part(eyes / "high-poly", eyes / "materials" / "brown_eye.png", body, levels=1, **iris)
    for kind in ("eyelashes", "eyebrows"):
        chosen = rng.choice(sorted((system / kind).iterdir()))
        portrait.part(chosen, next(chosen.glob("*.png")), body, roughness=0.6, hsv=(0.5, 1, rng.uniform(0.4, 1.2)))
    return body, portrait.fit(eyes / "high-poly" / "high-poly.mhclo", body)[0]


# hair


def hair(style: Path, body: np.ndarray, rng: random.Random, noise: np.random.Generator) -> np.ndarray:
    """A style of MakeHuman, and single hairs that leave it. Returns the style's vertices, before the head is turned."""
    shape = portrait.read_obj(next(style.glob("*.obj")))
    fitted, _ = portrait.fit(next(style.glob("*.mhclo")), body)
    pictures = sorted(style.glob("*diffuse*.png")) or sorted(style.glob("*.png"))
    saturation, brightness, tint = rng.choice(TINTS)
    look = portrait.material(pictures[0], roughness=rng.uniform(0.3, 0.5), hsv=(0.5, saturation, brightness), tint=tint)
    portrait.mesh("hair", shape._replace(vertices=fitted), look)
    if rng.random() < 0.8:
        colour = strand_colour(pictures[0], saturation, brightness, tint)
        shades = [("Hair", colour), ("Hair", darker(colour, 0.7)), ("Diffuse", darker(colour, 0.3))]
        paths = portrait.turned(loose_hairs(fitted, rng, noise))
        portrait.grow(paths, noise, radius=rng.choice((0.0008, 0.0012, 0.0018, 0.0026)), shades=shades)
    return fitted


def loose_hairs(style: np.ndarray, rng: random.Random, noise: np.random.Generator) -> np.ndarray:
    """Paths that begin in a style, leave it outwards and bend down: hairs x steps x 3."""
    count, curl = rng.choice((60, 150, 300, 600)), rng.choice((0.1, 0.25, 0.5))
    begin = style[noise.integers(0, len(style), count)]
    out = begin - style.mean(0)
    out[:, 1] *= 0.4
    down = np.array([0, -1, 0]) * noise.uniform(0.1, 1, (count, 1))
    way = portrait.unit(
        portrait.unit(out) * noise.uniform(0.05, 0.4, (count, 1)) + down + noise.normal(0, 0.18, (count, 3))
    )
    length = noise.uniform(0.2, 1.2, count) * noise.random(count) ** 0.6
    t = np.linspace(0, 1, portrait.STEPS)
    straight = begin[:, None] - 0.03 * portrait.unit(out)[:, None] + way[:, None] * (length[:, None] * t)[..., None]
    sag = -0.3 * (length[:, None] * t**2)[..., None] * np.array([0, 1, 0])
    return straight + sag + portrait.wander(noise, count, t) * (curl * length[:, None] * t)[..., None]


def strand_colour(picture: Path, saturation: float, brightness: float, tint: Colour) -> Colour:
    """The mean of the texture's opaque pixels, with the style's tint."""
    pixels = np.array(bpy.data.images.load(str(picture), check_existing=True).pixels[:]).reshape(-1, 4)[::211]
    opaque = pixels[pixels[:, 3] > 0.8, :3]
    colour = opaque.mean(0) if len(opaque) else np.full(3, 0.1)
    colour = (colour.mean() + (colour - colour.mean()) * min(saturation, 1.0)) * brightness * np.array(tint)
    red, green, blue = np.clip(colour, 0.01, 0.9).tolist()
    return red, green, blue


def darker(colour: Colour, share: float) -> Colour:
    red, green, blue = (value * share for value in colour)
    return red, green, blue


# what is worn


def glasses(eyes: np.ndarray, rng: random.Random) -> None:
    """Two rims, a bridge and two temples."""
    middle, left, right = eyes.mean(0), eyes[eyes[:, 0] > 0].mean(0), eyes[eyes[:, 0] < 0].mean(0)
    wide, high = rng.uniform(0.22, 0.3), rng.uniform(0.16, 0.26)
    front = eyes[:, 2].max() + 0.12
    angle = np.linspace(0, 2 * math.pi, 40)
    corners = rng.choice((1.0, 0.55))  # round or square
    lines = []
    for eye in (left, right):
        x, y = (np.sign(f(angle)) * np.abs(f(angle)) ** corners for f in (np.cos, np.sin))
        lines.append(np.stack([eye[0] + wide * x, middle[1] + high * y, np.full(40, front)], 1))
        side = math.copysign(1, eye[0])
        outer = np.array([eye[0] + side * wide, middle[1] + 0.05, front])
        lines.append(np.stack([outer, outer + [side * 0.12, 0, -0.3], outer + [side * 0.14, -0.05, -1.1]]))
    bridge = left[0] - wide
    lines.append(
        np.array([[bridge, middle[1] + 0.06, front], [0, middle[1] + 0.1, front], [-bridge, middle[1] + 0.06, front]])
    )
    curve = bpy.data.curves.new("glasses", "CURVE")
    curve.dimensions, curve.bevel_depth = "3D", rng.uniform(0.008, 0.03)
    for line in lines:
        spline = curve.splines.new("POLY")
        spline.points.add(len(line) - 1)
        points = portrait.to_blender(portrait.turned(line))
        spline.points.foreach_set("co", np.concatenate([points, np.ones((len(line), 1))], 1).ravel())
    curve.materials.append(plain(any_colour(rng), roughness=rng.uniform(0.1, 0.5)))
    portrait.link(bpy.data.objects.new("glasses", curve))


def hat(eyes: np.ndarray, rng: random.Random) -> None:
    """A crown and a brim, turned around an axis through the head."""
    radius, tall, brim = rng.uniform(0.95, 1.1), rng.uniform(0.6, 1.1), rng.uniform(0.1, 0.9)
    profile = [
        (radius + brim, rng.uniform(-0.2, 0.15)),
        (radius, 0),
        (radius * rng.uniform(0.85, 1.0), 0.8 * tall),
        (0.6 * radius, tall),
        (0.0, tall),
    ]
    middle = eyes.mean(0) + [0, rng.uniform(0.45, 0.7), -0.85]
    sheet(profile, middle, plain(any_colour(rng), roughness=0.9), ripple=0.0, rng=rng)


def veil(eyes: np.ndarray, rng: random.Random) -> None:
    """A thin cloth over the hair, to the shoulders, open in front."""
    radius = rng.uniform(1.25, 1.5)
    profile = [
        (radius * 1.3, -2.6),
        (radius * 1.15, -1.5),
        (radius, -0.4),
        (radius * 0.85, 0.5),
        (radius * 0.5, 0.95),
        (0.0, 1.1),
    ]
    middle = eyes.mean(0) + [0, 0.45, -0.85]
    look = plain(any_colour(rng), roughness=0.9, opacity=rng.uniform(0.15, 0.6))
    sheet(profile, middle, look, ripple=rng.uniform(0.02, 0.08), rng=rng, opening=math.radians(rng.uniform(70, 130)))


def sheet(
    profile: list[tuple[float, float]],
    middle: np.ndarray,
    look: bpy.types.Material,
    *,
    ripple: float,
    rng: random.Random,
    opening: float = 0.0,
) -> None:
    """Radii and heights turned around an upright axis; `opening` radians in front stay free."""
    columns = 72
    angle = np.linspace(opening / 2, 2 * math.pi - opening / 2, columns + 1) + math.pi / 2
    folds = 1 + ripple * np.sin(angle * rng.randint(9, 17) + rng.uniform(0, 6))
    points = [
        [middle[0] + r * fold * math.cos(a), middle[1] + y, middle[2] + r * fold * math.sin(a)]
        for r, y in profile
        for a, fold in zip(angle, folds, strict=True)
    ]
    across = columns + 1
    faces = [
        (k * across + i, k * across + i + 1, (k + 1) * across + i + 1, (k + 1) * across + i)
        for k in range(len(profile) - 1)
        for i in range(columns)
    ]
    data = bpy.data.meshes.new("sheet")
    data.from_pydata(portrait.to_blender(portrait.turned(np.array(points))).tolist(), [], faces)
    data.polygons.foreach_set("use_smooth", [True] * len(data.polygons))
    data.materials.append(look)
    smoother = portrait.link(bpy.data.objects.new("sheet", data)).modifiers.new("smooth", "SUBSURF")
    smoother.levels = smoother.render_levels = 2


def plain(colour: Colour, *, roughness: float, opacity: float = 1.0) -> bpy.types.Material:
    look = bpy.data.materials.new("plain")
    look.use_nodes = True
    body = look.node_tree.nodes["Principled BSDF"]
    body.inputs["Base Color"].default_value = (*colour, 1)
    body.inputs["Roughness"].default_value, body.inputs["Alpha"].default_value = roughness, opacity
    return look


def any_colour(rng: random.Random) -> Colour:
    grey = rng.random()
    return tuple(grey + rng.choice((0.2, 1.0)) * (rng.random() - grey) for _ in range(3))


# stage


def stage(args: argparse.Namespace, rng: random.Random, eyes: np.ndarray, style: np.ndarray) -> None:
    """A camera around the head, a light probe, one or two lamps; one of them is often behind."""
    top = max(style[:, 1].max(), eyes[:, 1].max() + 1.1)
    low = max(style[:, 1].min(), top - 4.2)
    span = max(top - low, float(np.ptp(style[:, 0])), 2.2)
    at = Vector(
        portrait.to_blender(portrait.turned(np.array([0, (top + low) / 2 - 0.1 * span, eyes[:, 2].mean() - 0.7])))
    )
    yaw = math.radians(rng.choice((rng.uniform(-40, 40), rng.uniform(-110, 110), rng.uniform(110, 250))))
    pitch = math.radians(rng.uniform(-8, 14))
    away = Vector((math.sin(yaw) * math.cos(pitch), -math.cos(yaw) * math.cos(pitch), math.sin(pitch)))
    camera = bpy.data.cameras.new("camera")
    camera.lens, camera.sensor_fit, camera.sensor_height = rng.uniform(60, 110), "VERTICAL", 36
    distance = span * rng.uniform(0.95, 1.7) * camera.lens / camera.sensor_height
    stand = portrait.link(bpy.data.objects.new("camera", camera))
    stand.location = at + away * distance
    portrait.aim(stand, at)
    stand.rotation_euler.rotate_axis("Z", math.radians(rng.uniform(-8, 8)))
    scene = bpy.context.scene
    scene.camera = stand
    probe(args.assets, rng)
    for behind in (False, True) if rng.random() < 0.5 else (rng.random() < 0.3,):
        lamp = bpy.data.lights.new("lamp", "AREA")
        lamp.energy, lamp.size = rng.uniform(100, 700) * (3 if behind else 1), rng.uniform(1, 5)
        lamp.color = [rng.uniform(0.8, 1) for _ in range(3)]
        thing = portrait.link(bpy.data.objects.new("lamp", lamp))
        turn = yaw + (math.pi if behind else 0) + math.radians(rng.uniform(-60, 60))
        thing.location = at + Vector((math.sin(turn), -math.cos(turn), rng.uniform(0.1, 1))) * 6
        portrait.aim(thing, at)


def probe(assets: Path, rng: random.Random) -> None:
    """Light from all around, turned, and brought to one brightness."""
    world = bpy.data.worlds.new("world")
    bpy.context.scene.world, world.use_nodes = world, True
    nodes, links = world.node_tree.nodes, world.node_tree.links
    kinds = ("TexEnvironment", "Mapping", "TexCoord")
    picture, mapping, place = (nodes.new(f"ShaderNode{kind}") for kind in kinds)
    chosen = rng.choice(sorted((assets / "lights").glob("*.hdr")) or [assets / "light.hdr"])
    picture.image = bpy.data.images.load(str(chosen))
    mapping.inputs["Rotation"].default_value[2] = rng.uniform(0, 2 * math.pi)
    links.new(place.outputs["Generated"], mapping.inputs[0])
    links.new(mapping.outputs[0], picture.inputs[0])
    links.new(picture.outputs[0], nodes["Background"].inputs[0])
    mean = float(np.array(picture.image.pixels[:]).reshape(-1, 4)[::97, :3].mean())
    nodes["Background"].inputs[1].default_value = min(3.0, max(0.15, rng.uniform(0.25, 0.5) / max(mean, 1e-3)))


if __name__ == "__main__":
    main()
