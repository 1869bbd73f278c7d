"""Run the plug-in in the real GIMP 3, without a display, and compare every pixel with `hdmatt matte`.

    python integrations/gimp/try_gimp.py FOLDER

By hand, as root, on Debian, with debootstrap installed and hdmatt in the Python that runs this. Debian 13 with its
GIMP 3.0 goes into FOLDER (about 1 GB, a few minutes; used again if it is there). Mirror and keys are those of apt's
own settings. Inside, `hdmatt` is a wrapper that calls this Python outside; all mounts end with the script. Results go
to FOLDER/exchange, and the table to integrations/gimp/log.md, whose part "In a window" is kept.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from small_profiles import gamma, make_profile  # noqa: E402

BOX = (1800, 1400, 2120, 1640)  # of examples/hair.jpg
BY_HAND = "\n## In a window"  # of log.md: kept from here on
ADOBE = make_profile(gamma(2.19921875), "Adobe RGB")
CASES = [
    {"name": "8 bit, trimap layer", "picture": "rgb8.png", "trimap": "trimap.png"},
    {"name": "16 bit, ICC profile, trimap layer", "picture": "rgb16-icc.png", "trimap": "trimap.png"},
    {
        "name": "8 bit, ICC profile, selection, band 20",
        "picture": "rgb8-icc.png",
        "ellipse": [30.0, 20.0, 200.0, 180.0],
        "options": {"band": "20"},
    },
    {
        "name": "8 bit, layer mask, band auto",
        "picture": "rgb8.png",
        "ellipse": [30.0, 20.0, 200.0, 180.0],
        "as_mask": 1,
    },
    {
        "name": "16 bit, transparency, layer moved in a larger image",
        "picture": "rgba16.png",
        "canvas": [400, 300, 0, 0],
        "at": [50, 40],
        "options": {"band": "4%"},
    },
    {"name": "refused: nothing to go by", "picture": "rgb8.png"},
    {"name": "refused: trimap does not cover", "picture": "rgb8.png", "trimap": "trimap.png", "moved": 1},
    {"name": "refused: floating point", "picture": "rgb8.png", "trimap": "trimap.png", "precision": "FLOAT_LINEAR"},
    {
        "name": "refused: no such program",
        "picture": "rgb8.png",
        "trimap": "trimap.png",
        "options": {"program": "hdmatt-of-yesterday"},
    },
    {
        "name": "refused by hdmatt: band too wide",
        "picture": "rgb8.png",
        "ellipse": [30.0, 20.0, 200.0, 180.0],
        "options": {"band": "300"},
    },
]


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    if os.environ.get("INSIDE") != "1":  # mounts of our own, that end with us
        raise SystemExit(
            subprocess.call(["unshare", "-m", sys.executable, *sys.argv], env={**os.environ, "INSIDE": "1"})
        )
    system, exchange = folder / "debian", folder / "exchange"
    if not (system / "usr/bin/gimp-console-3.0").exists():
        install(system)
    shutil.rmtree(exchange, ignore_errors=True)
    exchange.mkdir()
    pictures(exchange)
    (exchange / "cases.json").write_text(json.dumps(CASES))
    copy_plug_in(system)
    mount(system, exchange)
    took = run_gimp(system, exchange)
    results = json.loads((exchange / "results.json").read_text())
    rows = [f"| {case['name']} | {outcome(case, results[case['name']], exchange)} |" for case in CASES]
    written = HERE / "log.md"
    _, heading, by_hand = written.read_text(encoding="utf-8").partition(BY_HAND)
    written.write_text(log(system, results["gimp"], took, rows) + heading + by_hand, encoding="utf-8")
    print("\n".join(rows))


def install(system: Path) -> None:
    """Debian 13 and its GIMP, from the mirror that apt uses, signed by the keys that apt has."""
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Component: main"]
    mirror = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()[0]
    subprocess.run(["debootstrap", "--variant=minbase", "trixie", str(system), mirror], check=True)
    shutil.copy("/etc/resolv.conf", system / "etc/resolv.conf")
    packages = "gimp gir1.2-gimp-3.0 python3-gi"
    commands = f"apt-get update && apt-get install -y --no-install-recommends {packages}"
    inside(system, ["sh", "-c", commands], DEBIAN_FRONTEND="noninteractive")


def pictures(exchange: Path) -> None:
    """A piece of our example in 8 and 16 bit, with and without a profile and transparency."""
    rgb = np.array(Image.open(ROOT / "examples/hair.jpg").convert("RGB").crop(BOX))
    trimap = Image.open(ROOT / "examples/hair-trimap.png").crop(BOX)
    trimap.convert("RGB").save(exchange / "trimap.png")
    Image.fromarray(rgb).save(exchange / "rgb8.png")
    Image.fromarray(rgb).save(exchange / "rgb8-icc.png", icc_profile=ADOBE)
    noise = np.random.default_rng(0).integers(0, 257, rgb.shape)
    deep = np.minimum(rgb.astype(int) * 257 + noise, 65535).astype(np.uint16)
    y, x = np.mgrid[: rgb.shape[0], : rgb.shape[1]]
    alpha = (np.clip((90 - np.hypot(y - 110, x - 130)) / 6, 0, 1) * 65535).astype(np.uint16)
    cv2.imwrite(str(exchange / "rgba16.png"), np.dstack([deep[..., ::-1], alpha]))
    cv2.imwrite(str(exchange / "rgba16-alpha.png"), alpha)
    cv2.imwrite(str(exchange / "rgba16-colours.png"), deep[..., ::-1])
    from hdmatt_program import write_png  # OpenCV and Pillow write no 16 bit RGB with a profile

    size = {"height": rgb.shape[0], "width": rgb.shape[1], "depth": 2}
    write_png(exchange / "rgb16-icc.png", [deep.tobytes()], channels=3, icc=ADOBE, **size)


def copy_plug_in(system: Path) -> None:
    place = system / "root/.config/GIMP/3.0/plug-ins/hdmatt_gimp"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(HERE / "hdmatt_gimp", place)
    # without a display GIMP asks nobody and converts what it opens to sRGB; a person keeps the profile or does not
    (system / "root/.config/GIMP/3.0/gimprc").write_text("(color-profile-policy keep)\n")
    wrapper = system / "usr/local/bin/hdmatt"
    environment = f"PYTHONPATH={ROOT / 'src'} HOME=/root OMP_NUM_THREADS=1"
    wrapper.write_text(f'#!/bin/sh\nexec chroot /host /usr/bin/env {environment} {sys.executable} -m hdmatt "$@"\n')
    wrapper.chmod(0o755)


def mount(system: Path, exchange: Path) -> None:
    """The outside as /host, for the wrapper, and the exchange folder under its own name."""
    for source, target in (("/", "host"), ("/dev", "host/dev"), ("/proc", "host/proc"), ("/dev", "dev")):
        (system / target).mkdir(exist_ok=True)
        subprocess.run(["mount", "--bind", source, str(system / target)], check=True)
    subprocess.run(["mount", "-t", "proc", "proc", str(system / "proc")], check=True)
    same = system / str(exchange).lstrip("/")
    same.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "--bind", str(exchange), str(same)], check=True)


def run_gimp(system: Path, exchange: Path) -> float:
    shutil.copy(HERE / "inside_gimp.py", exchange)
    started = time.monotonic()
    code = f"exec(open('{exchange}/inside_gimp.py').read())"
    words = ["gimp-console-3.0", "-i", "-d", "-f", "--batch-interpreter=python-fu-eval", "-b", code, "--quit"]
    inside(system, words, HOME="/root", TMPDIR=str(exchange), EXCHANGE=str(exchange))
    return time.monotonic() - started


def inside(system: Path, words: list[str], **environment: str) -> None:
    path = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
    subprocess.run(["chroot", str(system), *words], check=True, env={**path, **environment}, timeout=1800)


def outcome(case: dict, result: dict, exchange: Path) -> str:
    """What GIMP said, or how far layer and mask are from the files of `hdmatt matte`."""
    if result["status"] != "success":
        return " ".join(result["message"].replace("|", "/").split())
    height, width = result["size"]
    name = case["name"]
    expected = reference(case, exchange, height, width)
    kind = np.uint16 if case["picture"].startswith(("rgb16", "rgba16")) else np.uint8
    layer = np.frombuffer((exchange / f"{name}.layer").read_bytes(), kind).reshape(height, width, -1)
    mask = np.frombuffer((exchange / f"{name}.mask").read_bytes(), kind).reshape(height, width)
    colours = np.abs(layer[..., :3].astype(int) - expected["foreground"]).max()
    alpha = np.abs(mask.astype(int) - expected["alpha"]).max()
    opaque = layer.shape[2] == 3 or (layer[..., 3] == np.iinfo(kind).max).all()
    at = f", at {result['at']}" if any(result["at"]) else ""
    white = np.iinfo(kind).max
    soft = np.mean((mask > 0) & (mask < white))
    return (
        f"largest difference: colours {colours}, mask {alpha} of {white}{'' if opaque else ', NOT OPAQUE'}; "
        f"{100 * soft:.1f} % soft{at}; layers {', '.join(result['layers'])}"
    )


def reference(case: dict, exchange: Path, height: int, width: int) -> dict[str, np.ndarray]:
    """The files of `hdmatt matte` for the same picture, as OpenCV reads them."""
    picture = exchange / case["picture"].replace("rgba16", "rgba16-colours")
    if case.get("trimap"):
        given = [str(exchange / case["trimap"])]
    else:
        mask = exchange / "rgba16-alpha.png"
        if case.get("ellipse"):
            mask = exchange / f"{case['name']}-mask.png"
            stored = np.frombuffer((exchange / f"{case['name']}.selection").read_bytes(), np.uint8)
            cv2.imwrite(str(mask), stored.reshape(height, width))
        given = ["--mask", str(mask), "--band", case.get("options", {}).get("band", "auto")]
    files = {name: exchange / f"{case['name']}-{name}.png" for name in ("alpha", "foreground")}
    words = ["matte", str(picture), *given, "-o", str(files["alpha"]), "--foreground", str(files["foreground"])]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", "hdmatt", *words], check=True, env=environment, stdout=subprocess.DEVNULL)
    read = {name: cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(int) for name, path in files.items()}
    return {"alpha": read["alpha"], "foreground": read["foreground"][..., ::-1]}


def log(system: Path, gimp: str, took: float, rows: list[str]) -> str:
    debian = (system / "etc/debian_version").read_text().strip()
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    return f"""# The plug-in in the real GIMP

Written by `python integrations/gimp/try_gimp.py FOLDER` ({time.strftime("%Y-%m-%d")}).

- GIMP {gimp} of Debian {debian}, `gimp-console-3.0 -i -d -f`, no display. hdmatt {version}.
- hdmatt was not installed inside: a wrapper `hdmatt` on PATH called it outside of the chroot.
- {len(rows)} cases through `plug-in-hdmatt`, in {took:.0f} s together. The picture is a piece of
  `examples/hair.jpg`, {BOX[2] - BOX[0]}x{BOX[3] - BOX[1]}.
- Compared: the numbers that GIMP stores in the new layer and its mask, read without conversion,
  with the files that `hdmatt matte ... -o --foreground` writes for the same picture and trimap or
  mask. 0 is identical.

| case | outcome |
| -- | -- |
{chr(10).join(rows)}
"""


if __name__ == "__main__":
    sys.path.insert(0, str(HERE / "hdmatt_gimp"))
    main()
