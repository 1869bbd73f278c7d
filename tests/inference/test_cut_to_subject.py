"""`--trim`: all outputs of a run are the whole ones cut to one box, and say where that lies."""

import errno
import json
import os
import struct
import zlib
from dataclasses import replace

import cv2
import numpy as np
import OpenEXR
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from small_exr import save_exr, windows

import hdmatt
from hdmatt.cli.main import main
from hdmatt.errors import InputError, OutputError
from hdmatt.inference.cut_to_subject import WaitingRows, is_stored, reach_of
from hdmatt.inference.options import NetworkChoice
from hdmatt.inference.outputs import Outputs, held_bytes
from hdmatt.network.checkpoint import save_model
from hdmatt.network.config import ModelConfig
from hdmatt.network.model import HDMatt
from hdmatt.pictures.box import Box
from hdmatt.pictures.info import InputOptions
from hdmatt.pictures.reader import open_picture
from hdmatt.pictures.trimap import open_trimap
from hdmatt.system import hidden

HEIGHT, WIDTH = 70, 90
REACH = Box(20, 30, 61, 77)  # of the trimap
SUBJECT = Box(33, 41, 52, 66)  # of its foreground


def save_scene(folder, shape=(HEIGHT, WIDTH), trimap=None):
    if trimap is None:
        trimap = np.zeros(shape, np.uint8)
        trimap[REACH.y0 : REACH.y1, REACH.x0 : REACH.x1] = 128
        trimap[SUBJECT.y0 : SUBJECT.y1, SUBJECT.x0 : SUBJECT.x1] = 255
    rng = np.random.default_rng(0)
    for name in ("picture", "behind"):
        cv2.imwrite(str(folder / f"{name}.png"), rng.integers(0, 256, (*trimap.shape, 3), np.uint8))
    cv2.imwrite(str(folder / "trimap.png"), trimap)
    return folder


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return save_scene(tmp_path_factory.mktemp("scene"))


def saved_network(folder, bias):
    """A network that gives sigmoid(`bias`) for all unknown pixels: of -8, 3e-4, which is 0 in 8 bits only."""
    torch.manual_seed(0)
    model = HDMatt(ModelConfig(width=4))
    with torch.no_grad():
        model.decoder.alpha.weight.zero_()
        model.decoder.alpha.bias.fill_(bias)
    save_model(model, folder / "tiny.safetensors", half=False)
    return NetworkChoice(folder / "tiny.safetensors", device="cpu")


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return saved_network(tmp_path_factory.mktemp("weights"), -8.0)


def run(scene, outputs, network, **more):
    arguments = {"network": network, "strategy": "tiles", **more}
    return hdmatt.matte_files(scene / "picture.png", scene / "trimap.png", outputs, **arguments)


def every_output(folder, suffix, scene):
    """A path for each of the four outputs, before a picture."""
    folder.mkdir(exist_ok=True)
    paths = {name: folder / f"{name}{suffix}" for name in ("alpha", "foreground", "cutout", "composite")}
    return Outputs(**paths, background=scene / "behind.png")


def read(path):
    """Pixels, by a program that is not ours."""
    if path.suffix == ".tif":
        return tifffile.imread(path)
    if path.suffix == ".exr":
        with OpenEXR.File(str(path), separate_channels=True) as file:
            return np.stack([channel.pixels for _, channel in sorted(file.channels().items())], axis=2)
    if path.suffix == ".webp":
        with Image.open(path) as image:
            return np.asarray(image)
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def box_of(mask):
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def png_offset(path):
    """x, y and unit of the chunk oFFs, whose checksum must be right."""
    data = path.read_bytes()
    at = data.index(b"oFFs")
    assert at < data.index(b"IDAT") and data.count(b"oFFs") == 1
    chunk, checksum = data[at : at + 13], data[at + 13 : at + 17]
    assert struct.unpack(">I", checksum)[0] == zlib.crc32(chunk)
    return struct.unpack(">iib", chunk[4:])


@pytest.mark.release
@pytest.mark.parametrize(
    ("suffix", "depth"),
    [(".png", "8"), (".png", "16"), (".tif", "8"), (".tif", "float"), (".exr", "half"), (".exr", "float")],
)
def test_all_outputs_are_the_whole_ones_cut_to_where_alpha_is_not_0(scene, network, tmp_path, suffix, depth):
    whole = replace(every_output(tmp_path / "whole", suffix, scene), bit_depth=depth)
    cut = replace(every_output(tmp_path / "cut", suffix, scene), bit_depth=depth, trim=True)
    assert run(scene, whole, network).trim is None
    box = run(scene, cut, network).trim
    assert box == box_of(read(whole.alpha).squeeze() > 0)
    assert box == (SUBJECT if depth == "8" else REACH)
    for one, other in zip(whole.paths(), cut.paths(), strict=True):
        np.testing.assert_array_equal(read(other), box.columns(read(one))[box.y0 : box.y1])
    assert {path.name for path in (tmp_path / "cut").iterdir()} == {path.name for path in cut.paths()}


def test_the_same_box_for_all_outputs_is_that_of_the_finest(scene, network, tmp_path):
    coarse = Outputs(tmp_path / "a.png", cutout=tmp_path / "c.webp", trim=True)
    assert run(scene, coarse, network).trim == SUBJECT
    assert run(scene, replace(coarse, layered=tmp_path / "l.exr"), network).trim == REACH
    for name in ("a.png", "c.webp", "l.exr"):
        assert read(tmp_path / name).shape[:2] == REACH.size


def test_a_png_says_its_offset(scene, network, tmp_path):
    for depth in ("8", "16"):
        outputs = replace(every_output(tmp_path, ".png", scene), bit_depth=depth, trim=True)
        box = run(scene, outputs, network).trim
        for path in outputs.paths():
            assert png_offset(path) == (box.x0, box.y0, 0)
            with Image.open(path) as image:
                image.load()


@pytest.mark.parametrize("resolution", [None, (300, "in"), (118, "cm"), (7, "none")])
def test_a_tiff_says_its_offset_and_the_whole_size_whatever_its_resolution(network, tmp_path, resolution):
    save_scene(tmp_path)
    if resolution:
        rgb = cv2.imread(str(tmp_path / "picture.png"))[..., ::-1]
        unit = {"in": 2, "cm": 3, "none": 1}[resolution[1]]
        tifffile.imwrite(tmp_path / "picture.tif", rgb, resolution=(resolution[0],) * 2, resolutionunit=unit)
    picture = tmp_path / ("picture.tif" if resolution else "picture.png")
    outputs = replace(every_output(tmp_path / "out", ".tif", tmp_path), trim=True)
    run_of = {"network": network, "strategy": "tiles"}
    box = hdmatt.matte_files(picture, tmp_path / "trimap.png", outputs, **run_of).trim
    for path in outputs.paths():
        with tifffile.TiffFile(path) as file:
            tags = {tag.name: tag.value for tag in file.pages[0].tags.values()}
        place = [np.divide(*tags[f"{axis}Position"]) * np.divide(*tags[f"{axis}Resolution"]) for axis in "XY"]
        np.testing.assert_allclose(place, [box.x0, box.y0], rtol=1e-6)
        assert (tags["ImageFullWidth"], tags["ImageFullLength"]) == (WIDTH, HEIGHT)
        assert np.divide(*tags["XResolution"]) == (resolution[0] if resolution else 1)
        with open_picture(path, InputOptions()) as reader:  # and we can read it
            assert (reader.info.height, reader.info.width) == box.size
            assert reader.rows(0, box.size[0]).any()


def exr_windows(path):
    with OpenEXR.File(str(path)) as file:
        return [tuple(map(tuple, file.header()[name])) for name in ("dataWindow", "displayWindow")]


def test_an_exr_has_its_data_window_in_the_whole_picture(scene, network, tmp_path):
    outputs = Outputs(tmp_path / "a.exr", cutout=tmp_path / "c.exr", layered=tmp_path / "l.exr", plate=True, trim=True)
    box = run(scene, outputs, network).trim
    for path in outputs.paths():
        data, display = exr_windows(path)
        assert data == ((box.x0, box.y0), (box.x1 - 1, box.y1 - 1)) and display == ((0, 0), (WIDTH - 1, HEIGHT - 1))


def test_the_box_of_an_exr_counts_from_its_own_data_window(scene, network, tmp_path):
    save_scene(tmp_path)
    rgb = np.random.default_rng(0).random((HEIGHT, WIDTH, 3), np.float32)
    shown = windows((-5, 12, WIDTH, HEIGHT), (0, 0, 200, 100))
    save_exr(tmp_path / "picture.exr", dict(zip("RGB", np.moveaxis(rgb, 2, 0).copy(), strict=True)), **shown)
    outputs = Outputs(tmp_path / "a.exr", cutout=tmp_path / "c.png", trim=True)
    marks = tmp_path / "trimap.png"
    box = hdmatt.matte_files(tmp_path / "picture.exr", marks, outputs, network=network, strategy="tiles").trim
    data, display = exr_windows(tmp_path / "a.exr")
    assert data == ((box.x0 - 5, box.y0 + 12), (box.x1 - 6, box.y1 + 11)) and display == ((0, 0), (199, 99))
    assert png_offset(tmp_path / "c.png")[:2] == (box.x0, box.y0)  # a PNG of the whole is the data window alone


def test_jpeg_and_webp_are_cut_alike_and_have_no_place_for_the_offset(scene, network, tmp_path):
    outputs = Outputs(tmp_path / "a.png", tmp_path / "f.jpg", tmp_path / "c.webp", trim=True)
    box = run(scene, outputs, network).trim
    assert {read(path).shape[:2] for path in outputs.paths()} == {box.size}


def test_the_command_line_says_the_box(scene, network, tmp_path, capsys):
    given = ["matte", *map(str, (scene / "picture.png", scene / "trimap.png", "--model", network.model))]
    given += ["--device", "cpu", "--strategy", "tiles", "-o", str(tmp_path / "a.png"), "--trim"]
    assert main([*given, "--json"]) == 0
    y0, x0, y1, x1 = json.loads(capsys.readouterr().out)["trim"]
    assert read(tmp_path / "a.png").shape == (y1 - y0, x1 - x0)
    assert main([*given, "--overwrite"]) == 0
    assert f"{WIDTH}x{HEIGHT} cut to {x1 - x0}x{y1 - y0} at {x0},{y0}, " in capsys.readouterr().out


def test_a_trimap_of_background_alone_is_refused_before_anything_is_computed(network, tmp_path):
    save_scene(tmp_path, trimap=np.zeros((40, 40), np.uint8))
    with pytest.raises(InputError, match="background everywhere, so there is no subject"):
        run(tmp_path, Outputs(tmp_path / "a.png", trim=True), network)
    assert not (tmp_path / "a.png").exists()


def test_a_matte_of_nothing_is_refused_and_what_was_there_stays(tmp_path):
    trimap = np.zeros((40, 40), np.uint8)
    trimap[10:20, 10:20] = 128
    save_scene(tmp_path, trimap=trimap)
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"old")
    clear = saved_network(tmp_path, -1000.0)
    outputs = Outputs(folder / "a.png", cutout=folder / "c.webp", trim=True)
    with pytest.raises(InputError, match="the matte is 0 everywhere, so there is no subject"):
        run(tmp_path, outputs, clear)
    assert os.listdir(folder) == ["a.png"] and (folder / "a.png").read_bytes() == b"old"
    assert run(tmp_path, replace(outputs, trim=False), clear).trim is None


def test_what_no_output_can_hold_is_refused_before_anything_is_computed(scene, network, tmp_path):
    asked = []
    outputs = Outputs(tmp_path / "a.png", bit_depth="half", trim=True)
    with pytest.raises(InputError, match="no bit depth half"):
        run(scene, outputs, network, progress=lambda *done: asked.append(done))
    assert not asked and not os.listdir(tmp_path)


def test_layers_of_photoshop_are_not_cut(scene, network, tmp_path):
    with pytest.raises(InputError, match="--trim does not go with --psd"):
        run(scene, Outputs(psd=tmp_path / "a.psd", trim=True), network)


def test_the_inverse_of_a_matte_is_not_cut_in_an_exr_whose_outside_is_0(scene, network, tmp_path):
    with pytest.raises(InputError, match="--trim does not go with --invert into EXR"):
        run(scene, Outputs(tmp_path / "a.exr", trim=True, invert=True), network)
    box = run(scene, Outputs(tmp_path / "a.png", trim=True, invert=True), network).trim
    whole = Outputs(tmp_path / "whole.png", invert=True)
    run(scene, whole, network)
    np.testing.assert_array_equal(read(tmp_path / "a.png"), box.columns(read(whole.alpha))[box.y0 : box.y1])


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_disk_that_fills_leaves_what_was_there(scene, network, tmp_path, monkeypatch, share):
    path, written, write = tmp_path / "c.tif", [0], hidden._write
    outputs = Outputs(cutout=path, trim=True)

    def count(file, data):
        written[0] += len(data)
        return write(file, data)

    monkeypatch.setattr(hidden, "_write", count)
    run(scene, outputs, network)
    room = [int(share * written[0])]
    path.write_bytes(b"old")

    def full(file, data):
        taken = write(file, data[: room[0]]) if room[0] else 0
        room[0] -= taken
        if not taken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return taken

    monkeypatch.setattr(hidden, "_write", full)
    with pytest.raises(OutputError, match=r"c\.tif cannot be written \(No space left"):
        run(scene, outputs, network)
    assert os.listdir(tmp_path) == ["c.tif"] and path.read_bytes() == b"old"


@pytest.mark.release
def test_the_same_input_gives_the_same_bytes(scene, network, tmp_path):
    for suffix in (".png", ".tif", ".exr"):
        made = []
        for folder in ("one", "two"):
            outputs = replace(every_output(tmp_path / folder, suffix, scene), trim=True)
            run(scene, outputs, network)
            made.append([path.read_bytes() for path in outputs.paths()])
        assert made[0] == made[1]


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(1, 40), st.integers(1, 30), st.integers(1, 9), st.integers(0, 3), st.booleans(), st.randoms())
def test_waiting_rows_are_those_of_the_box(tmp_path_factory, height, width, step, few, colours, chance):
    folder = tmp_path_factory.mktemp("waiting")
    y0, x0 = chance.randrange(height), chance.randrange(width)
    reach = Box(y0, x0, chance.randint(y0 + 1, height), chance.randint(x0 + 1, width))
    alpha = np.zeros((height, width), np.float32)
    for _ in range(few):
        alpha[chance.randrange(reach.y0, reach.y1), chance.randrange(reach.x0, reach.x1)] = chance.random()
    foreground = np.random.default_rng(0).random((height, width, 3), np.float32)
    with WaitingRows(folder / "a.png", reach, bit_depth="8", colours=colours) as waiting:
        for y in range(0, height, step):
            some = slice(y, y + step)
            waiting.add(y, alpha[some], foreground[some] if colours else None)
        seen = np.rint(alpha * 255) > 0
        if not seen.any():
            with pytest.raises(InputError, match="0 everywhere"):
                waiting.box()
            return
        box = waiting.box()
        assert box == box_of(seen)
        for y, shares, rows in waiting.bands(box):
            some = slice(y, y + len(shares))
            np.testing.assert_array_equal(shares, box.columns(alpha[some]))
            assert (rows is None) == (not colours)
            if rows is not None:
                np.testing.assert_array_equal(rows, box.columns(foreground[some]))
    assert not os.listdir(folder)


def test_alpha_is_0_where_its_rounded_number_is():
    half = np.nextafter(np.float32(0.5), np.float32(1))
    for depth, white in (("8", 255), ("16", 65535)):
        alpha = np.array([[0, 0.5 / white * 0.99, half / white * 1.01, 1]], np.float32)
        assert is_stored(alpha, depth).tolist() == [[False, False, True, True]]
    tiny = np.array([[0, 1e-9, 1e-7]], np.float32)
    assert is_stored(tiny, "half").tolist() == [[False, False, True]]  # the smallest half float is 6e-8
    assert is_stored(tiny, "float").tolist() == [[False, True, True]]


def test_the_reach_is_all_that_is_not_background(scene):
    with open_trimap(scene / "trimap.png") as trimap:
        assert reach_of(trimap) == REACH


def test_a_webp_takes_the_memory_of_what_the_trimap_leaves(scene):
    outputs = Outputs(cutout="c.webp", trim=True)
    with open_picture(scene / "picture.png", InputOptions()) as picture:
        assert held_bytes(outputs, picture.info, None) // (WIDTH * HEIGHT) == 32
        assert held_bytes(outputs, picture.info, REACH) == 32 * REACH.size[0] * REACH.size[1]
