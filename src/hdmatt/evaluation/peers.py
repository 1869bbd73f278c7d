"""Other matting software to compare with: GEGL's operations and ViTMatte.

Arrays in, a matte out; knows the programs' conventions, nothing of data sets or scores. What is missing is an error
that says how to get it; nothing is downloaded. Read top to bottom:

    gegl_version     whether GEGL is there, and which
    gegl_alpha       matting-global and matting-levin, through the program `gegl`
    check_vitmatte   whether a folder holds ViTMatte's weights, and which
    load_vitmatte    the folder -> a patches.windows.Network: whole pictures, or patches, tiles, small ones
    stay_offline     in a process of our own: Hugging Face's libraries ask no server

PyMatting's methods are called in evaluation/run_method.py.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from hdmatt.errors import InputError, ModelError
from hdmatt.patches.windows import Network
from hdmatt.pictures import reader
from hdmatt.pictures.colours.colour import linear_to_srgb
from hdmatt.pictures.trimap import FOREGROUND, UNKNOWN

GEGL_OPERATIONS = {
    "gegl-global": ("gegl:matting-global",),
    # At full size: with its four levels, and any other number but 0, version 0.4.42 gives values far outside of
    # [0, 1] or NaN (SAD 6.0 instead of 1.2 on GT01 of alphamatting.com, small size, narrow trimap)
    "gegl-levin": ("gegl:matting-levin", "levels=0", "active-levels=0"),
}
VITMATTE_STEP = 32  # pixels; sides are padded up to a multiple


def gegl_version(method: str) -> str:
    """The installed version as far as it can be told (GEGL's program does not tell; Debian's packages do).

    Raises:
        InputError: GEGL, or the operation, is not installed.
    """
    operation = GEGL_OPERATIONS[method][0]
    if shutil.which("gegl") is None:
        raise InputError(
            f"the method {method} needs GEGL's program gegl, which is not installed",
            hint="apt-get install gegl (Debian, Ubuntu), or have it on PATH.",
        )
    if subprocess.run(["gegl", "--exists", operation], capture_output=True, check=False).returncode:
        raise InputError(
            f"this gegl has no operation {operation}",
            hint="matting-levin needs a GEGL that was built with UMFPACK; Debian's is.",
        )
    if shutil.which("dpkg-query"):
        found = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Version}", "gegl"], capture_output=True, text=True, check=False
        )
        if found.returncode == 0:
            return found.stdout.strip()
    return "of unknown version"


def gegl_alpha(
    method: str, colours: Float32[np.ndarray, "h w 3"], trimap: UInt8[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w"]:
    """A matte by one of GEGL's operations, with its defaults but for matting-levin's levels.

    matting-global's answer is linear, matting-levin's is display-encoded; both are asked for as an EXR file, in which
    GEGL writes linear values, so the second passes the sRGB curve. (A PNG holds matting-global's matte with a gamma
    that does not belong there: SAD 2.7 instead of 1.5 on GT01.)

    Args:
        colours: Display-encoded, in [0, 1].
        trimap: Exactly 0, 128 or 255; known pixels come out exactly 0 or 1.

    Raises:
        RuntimeError: It failed. The program leaves with 0 whatever happens, so what it wrote is looked at.
    """
    with tempfile.TemporaryDirectory(prefix="hdmatt-") as name:
        folder = Path(name)
        _write_png(folder / "picture.png", np.rint(colours[..., ::-1] * 65535).astype(np.uint16))
        _write_png(folder / "trimap.png", trimap)
        command = ["gegl", "picture.png", "-o", "alpha.exr", "--", *GEGL_OPERATIONS[method]]
        command += ["aux=[", "gegl:load", "path=trimap.png", "]"]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False
        )
        alpha = _read_answer(folder / "alpha.exr", trimap.shape)
    if done.returncode or alpha is None:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["nothing"]
        raise RuntimeError(f"gegl ended with code {done.returncode} and no matte; it said: {said[-1]}")
    alpha = np.clip(alpha, 0, 1)
    if method == "gegl-levin":
        alpha = linear_to_srgb(alpha)
    return np.where(trimap == UNKNOWN, alpha, (trimap == FOREGROUND).astype(np.float32))


def check_vitmatte(folder: Path) -> str:
    """The folder holds ViTMatte as Hugging Face lays it out; returns the start of its weights' checksum.

    Raises:
        ModelError: It does not, or its weights are a pickle, which we do not open: a pickle runs what is in it.
        InputError: transformers is not installed.
    """
    if not folder.is_dir():
        raise ModelError(
            f"{folder} is not a folder",
            hint="Give one with config.json, preprocessor_config.json and model.safetensors.",
        )
    config = _json(folder / "config.json")
    if config.get("model_type") != "vitmatte":
        raise ModelError(
            f"{folder / 'config.json'} describes a {config.get('model_type')!r}, not a vitmatte",
            hint="Give the folder of a ViTMatte in Hugging Face's layout.",
        )
    if not isinstance(config.get("backbone_config"), dict):
        raise ModelError(
            f"{folder / 'config.json'} does not describe its backbone, which would have to be downloaded",
            hint="Save the network again with save_pretrained of transformers.",
        )
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        pickles = sorted([*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth")])
        if pickles:
            raise ModelError(
                f"{pickles[0]} is a pickle: loading it could run any program, so we do not",
                hint="Take model.safetensors of the same network, or convert it where you trust it: "
                "VitMatteForImageMatting.from_pretrained(FOLDER).save_pretrained(OTHER).",
            )
        raise ModelError(f"{folder} holds no model.safetensors", hint="Put the network's weights there.")
    _processor(folder)
    if importlib.util.find_spec("transformers") is None:
        raise InputError("ViTMatte needs transformers", hint="pip install 'hdmatt[vitmatte]'")
    checksum = hashlib.sha256((folder / "config.json").read_bytes())
    for path in weights:
        with path.open("rb") as file:
            checksum.update(hashlib.file_digest(file, "sha256").digest())
    return checksum.hexdigest()[:12]


def stay_offline() -> None:
    """Let Hugging Face's libraries ask no server, whatever they are given; only for a process of our own.

    `load_vitmatte` reads local files only, with or without it.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")


def load_vitmatte(folder: Path, *, device: str = "cpu") -> Network:
    """ViTMatte as a network that any strategy can take.

    Pictures are normalised as preprocessor_config.json says, trimaps are 0, 128/255 and 1, both are padded with zeros
    at the right and the bottom up to a multiple of 32 and the answer is cut back, as VitMatteImageProcessor does and
    its documentation asks for. Known pixels are not overwritten here.

    Raises:
        ModelError: As `check_vitmatte`; or the weights do not fit the network.
    """
    check_vitmatte(folder)
    import safetensors
    import torch
    import transformers

    mean, std, step = _processor(folder)
    try:
        read: Any = transformers.VitMatteForImageMatting.from_pretrained  # its types leave the loading info out
        with _silent(transformers.utils.logging):
            model, found = read(folder, local_files_only=True, use_safetensors=True, output_loading_info=True)
    except (OSError, ValueError, RuntimeError, KeyError, safetensors.SafetensorError) as error:
        raise ModelError(f"{folder} does not load: {error}", hint="Download or save the network again.") from error
    missing = [key for key in sorted(found["missing_keys"]) if not key.endswith("num_batches_tracked")]
    if missing or found["mismatched_keys"]:
        wrong = missing[0] if missing else sorted(found["mismatched_keys"])[0]
        raise ModelError(
            f"the weights in {folder} do not fit its config.json: {wrong} is missing or of another shape",
            hint="Download or save the network again.",
        )
    model = model.float().eval().to(device)

    def network(colours: np.ndarray, trimaps: np.ndarray) -> np.ndarray:
        height, width = trimaps.shape[1:]
        inputs = np.zeros((len(trimaps), 4, height + -height % step, width + -width % step), np.float32)
        inputs[:, :3, :height, :width] = ((colours - mean) / std).transpose(0, 3, 1, 2)
        inputs[:, 3, :height, :width] = trimaps / np.float32(255)
        with torch.inference_mode():
            alphas = model(pixel_values=torch.from_numpy(inputs).to(device)).alphas
        return alphas[:, 0, :height, :width].float().cpu().numpy()

    return network


@contextmanager
def _silent(logging: Any) -> Generator[None]:
    """No messages and no progress bars of transformers; what the program had chosen comes back."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _processor(folder: Path) -> tuple[np.ndarray, np.ndarray, int]:
    """Mean, deviation and padding step of preprocessor_config.json."""
    path = folder / "preprocessor_config.json"
    config = _json(path)
    try:
        mean, std = (np.array(config[key], np.float32).reshape(3) for key in ("image_mean", "image_std"))
        step = int(config.get("size_divisor", config.get("size_divisibility", VITMATTE_STEP)))
        if step < 1 or not (std > 0).all():
            raise ValueError("size_divisor and image_std must be positive")
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is not ViTMatte's: {error}", hint="Download the network again.") from error
    return mean, std, step


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read: {error.strerror}", hint="Give a folder in Hugging Face's layout."
        ) from error
    except ValueError as error:
        raise ModelError(f"{path} is no JSON: {error}", hint="Download the network again.") from error
    return found if isinstance(found, dict) else {}


def _read_answer(path: Path, size: tuple[int, ...]) -> np.ndarray | None:
    """The one channel of what GEGL wrote; None if it is no matte of that size.

    An operation that fails can leave nothing, or the picture itself: it has three channels.
    """
    if not path.exists():
        return None
    try:
        with reader.open_picture(path) as answer:
            if (answer.info.height, answer.info.width) != size or answer.info.channels != 1:
                return None
            return answer.rows(0, size[0])[..., 0].astype(np.float32)
    except InputError as error:  # damaged, or NaN in it
        said = error.message.replace(str(path), path.name)  # its folder is gone when a reader gets there
        raise RuntimeError(f"gegl's matte cannot be used: {said}") from error


def _write_png(path: Path, pixels: np.ndarray) -> None:
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
