"""Packs of training pictures: which files there are, decoded once and kept in memory. Knows nothing of training.

    AssetPack, discover_assets    the files of a pack
    Assets, load_assets           the decoded pictures of packs
    read_foreground               one foreground, straight RGBA
    decode, shrink                OpenCV's decoder, and means of areas

Training pictures are decoded by OpenCV, here and in training/backbone.py, because machines with GPUs often lack
OpenImageIO: EXIF orientation is applied where there is no alpha, 16 bits become 8, colour profiles are not looked at.
Pictures that are matted or scored are read by pictures/reader.py.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from jaxtyping import UInt8

from hdmatt.errors import InputError
from hdmatt.pictures.folders import folders_in, match_by_stem, pictures_in
from hdmatt.samples import reserved

FOREGROUND_SUFFIXES = (".png", ".webp")  # those that carry straight alpha


@dataclass(frozen=True)
class AssetPack:
    """The files of training packs."""

    foregrounds: list[Path | tuple[Path, Path]]  # straight RGBA files, or (colours, alpha) in two files
    backgrounds: list[Path]


def discover_assets(folder: Path | str) -> AssetPack:
    """The foregrounds and backgrounds of a training pack.

    Args:
        folder: Either `foregrounds/` and `foregrounds-*/` (straight RGBA, PNG or WebP) with `backgrounds/` and
            `backgrounds-*/`, or the layout of Adobe's training set: `fg/ alpha/ bg/`, foregrounds and mattes of the
            same name. One of the two kinds may be missing, so that packs can be combined.

    Returns:
        Natural order of the names, folder by folder. Photographs that test pictures are made of (samples/reserved.py)
        are left out.

    Raises:
        InputError: Neither layout is there, a folder is empty, a foreground lacks its matte or the other way round, or
            a foreground is in a format without alpha.
    """
    folder = Path(folder)
    whole = [*folders_in(folder, "foregrounds"), *folders_in(folder, "foregrounds-*")]
    behind = [*folders_in(folder, "backgrounds"), *folders_in(folder, "backgrounds-*"), *folders_in(folder, "bg")]
    foregrounds: list[Path | tuple[Path, Path]] = [path for pack in whole for path in _rgba_pictures(pack)]
    if (folder / "fg").is_dir() and (folder / "alpha").is_dir():
        foregrounds += match_by_stem(folder / "fg", folder / "alpha", "matte")
    if not foregrounds and not behind:
        raise InputError(
            f"{folder} is no pack of assets; looked for foregrounds/ or foregrounds-*/ (RGBA), fg/ + alpha/, "
            "backgrounds/, backgrounds-*/ and bg/",
            hint="Put cut-outs with alpha into foregrounds/ and photographs into backgrounds/",
        )
    backgrounds = [path for pack in behind for path in pictures_in(pack) if path.name not in reserved.BACKGROUNDS]
    return AssetPack(foregrounds, backgrounds)


def _rgba_pictures(folder: Path) -> list[Path]:
    found = pictures_in(folder)
    for path in found:
        if path.suffix.lower() not in FOREGROUND_SUFFIXES:
            raise InputError(
                f"{path} is no PNG or WebP, so it cannot hold straight alpha",
                hint="Save it as RGBA, or use fg/ and alpha/ with two files for each foreground",
            )
    return found


@dataclass(frozen=True)
class Assets:
    """Decoded training pictures.

    Attributes:
        foregrounds: H x W x 4 uint8, straight sRGB RGBA, colours continued under alpha 0.
        backgrounds: H x W x 3 uint8, sRGB.
    """

    foregrounds: list[UInt8[np.ndarray, "_ _ 4"]]
    backgrounds: list[UInt8[np.ndarray, "_ _ 3"]]

    def fingerprint(self) -> str:
        """How many pictures there are, and a digest of their pixels, order included: the same pack says the same."""
        digest = hashlib.blake2b(digest_size=6)
        for picture in [*self.foregrounds, *self.backgrounds]:
            digest.update(repr(picture.shape).encode())
            digest.update(np.ascontiguousarray(picture).data)
        return f"{len(self.foregrounds)} foregrounds, {len(self.backgrounds)} backgrounds, {digest.hexdigest()}"


def load_assets(folders: Sequence[Path], *, longest: int = 1280) -> Assets:
    """Decode every foreground and background of the packs.

    Args:
        folders: Asset packs, joined; see `discover_assets`.
        longest: Pictures that are longer are shrunk to it, in pixels; 0: none is.

    Raises:
        InputError: A file cannot be decoded, or the packs together hold no foreground or no background.
    """
    packs = [discover_assets(folder) for folder in folders]
    foregrounds = [shrink(read_foreground(entry), longest) for pack in packs for entry in pack.foregrounds]
    backgrounds = [shrink(decode(path, "colour"), longest) for pack in packs for path in pack.backgrounds]
    if not foregrounds or not backgrounds:
        raise InputError(
            f"the packs hold {len(foregrounds)} foregrounds and {len(backgrounds)} backgrounds",
            hint="Training needs at least one of each: name a folder with foregrounds/ and one with backgrounds/.",
        )
    return Assets(foregrounds, backgrounds)


def read_foreground(entry: Path | tuple[Path, Path]) -> UInt8[np.ndarray, "_ _ 4"]:
    """Straight RGBA of a picture with alpha, or of AIM's two files. Raises InputError where they are none."""
    if isinstance(entry, tuple):  # AIM: colours and alpha in two files
        colours, alpha = decode(entry[0], "colour"), decode(entry[1], "grey")
        if colours.shape[:2] != alpha.shape[:2]:
            raise InputError(
                f"{entry[0]} is {colours.shape[1]}x{colours.shape[0]} but {entry[1]} is "
                f"{alpha.shape[1]}x{alpha.shape[0]} (width x height)",
                hint="A foreground and its alpha need the same size.",
            )
        return np.dstack([colours, alpha])
    rgba = decode(entry, "as it is")
    if rgba.ndim != 3 or rgba.shape[2] != 4:
        raise InputError(f"{entry} has no alpha channel", hint="Foregrounds are straight RGBA, PNG or WebP.")
    return rgba


def decode(path: Path, kind: Literal["colour", "grey", "as it is"]) -> np.ndarray:
    """A picture as 8 bits: RGB, grey, or with the channels that it has (RGBA). EXIF turns the first two only.

    Raises:
        InputError: It cannot be read, or is no picture.
    """
    flag = {"colour": cv2.IMREAD_COLOR, "grey": cv2.IMREAD_GRAYSCALE, "as it is": cv2.IMREAD_UNCHANGED}[kind]
    try:  # from memory: cv2.imread cannot open every path on Windows
        encoded = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", hint="Check its permissions.") from error
    pixels = cv2.imdecode(encoded, flag) if encoded.size else None
    if pixels is None:
        raise InputError(f"{path} cannot be decoded as a picture", hint="Replace it or take it out of the pack.")
    if pixels.dtype == np.uint16:
        pixels = (pixels // 257).astype(np.uint8)
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    if pixels.ndim == 3:
        return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA)
    return pixels


def shrink(picture: np.ndarray, longest: int) -> np.ndarray:
    """The picture, its long side at most `longest` pixels (0: as it is): means of areas."""
    scale = longest / max(picture.shape[:2])
    if scale >= 1 or longest == 0:
        return picture
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
