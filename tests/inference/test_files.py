"""Files out: all of them or what was there before, and nobody closes a file that a thread still reads."""

import os
import threading
from dataclasses import replace

import cv2
import numpy as np
import OpenImageIO as oiio
import pytest
from PIL import Image
from psd_tools import PSDImage
from small_network import network
from small_pictures import info

from hdmatt import api
from hdmatt.errors import OutputError
from hdmatt.inference import files as files_module
from hdmatt.inference.files import matte_files
from hdmatt.inference.load import LoadedNetwork
from hdmatt.inference.options import Options
from hdmatt.inference.outputs import Outputs
from hdmatt.inference.strategies import matte_rows
from hdmatt.pictures.colours.colour import linear_to_srgb
from hdmatt.pictures.reader import PictureReader
from hdmatt.pictures.writer import PictureWriter
from hdmatt.system import together

SMALL = Options(patch=64, overlap=16)


@pytest.fixture
def scene(tmp_path):
    trimap = np.zeros((400, 120), np.uint8)
    trimap[20:370, 30:90], trimap[35:355, 50:70] = 128, 255
    cv2.imwrite(str(tmp_path / "picture.png"), np.random.default_rng(0).integers(0, 256, (400, 120, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "trimap.png"), trimap)
    return tmp_path


@pytest.fixture
def targets(scene):
    """Three outputs in a folder of their own, of which two are there already."""
    folder = scene / "out"
    folder.mkdir()
    (folder / "alpha.png").write_bytes(b"my matte")
    (folder / "cutout.png").write_bytes(b"my cut-out")
    return Outputs(folder / "alpha.png", folder / "foreground.png", folder / "cutout.png")


def run(scene, outputs, network, **more):
    return matte_files(scene / "picture.png", scene / "trimap.png", outputs, options=SMALL, network=network, **more)


def content(outputs):
    folder = outputs.paths()[0].parent
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.release
@pytest.mark.parametrize("failing", ["alpha.png", "foreground.png", "cutout.png"])
def test_when_a_later_output_is_incomplete_the_files_that_were_there_are_there(
    scene, targets, network, monkeypatch, failing
):
    before, finish = content(targets), PictureWriter._finish

    def incomplete(writer):
        if writer._path.name == failing:
            raise OutputError(f"{failing}: the disk is full", hint="Make room.")
        finish(writer)

    monkeypatch.setattr(PictureWriter, "_finish", incomplete)
    with pytest.raises(OutputError, match="the disk is full"):
        run(scene, targets, network)
    assert content(targets) == before


@pytest.mark.release
@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("failing", ["alpha.png", "foreground.png", "cutout.png"])
def test_when_an_output_cannot_take_its_place_the_files_that_were_there_are_there(
    scene, targets, network, monkeypatch, failing, links
):
    before, replace = content(targets), os.replace

    def stubborn(source, target):
        if target.name == failing and source.read_bytes() != before.get(failing):
            raise PermissionError(13, "Permission denied")
        replace(source, target)

    def no_links(source, target):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(together.os, "replace", stubborn)
    if not links:
        monkeypatch.setattr(together.os, "link", no_links)
    with pytest.raises(OutputError, match=rf"{failing} cannot be written \(Permission denied\)"):
        run(scene, targets, network)
    assert content(targets) == before


def test_all_outputs_take_the_place_of_what_was_there_and_nothing_else_stays(scene, targets, network):
    before = content(targets)
    assert run(scene, targets, network).outputs == [str(path) for path in targets.paths()]
    after = content(targets)
    assert after.keys() == {"alpha.png", "foreground.png", "cutout.png"}
    assert not {*before.values()} & {*after.values()}
    alpha = cv2.imread(str(targets.alpha), cv2.IMREAD_UNCHANGED)
    assert (cv2.imread(str(targets.cutout), cv2.IMREAD_UNCHANGED)[..., 3] == alpha).all()


def test_what_is_to_be_known_of_a_background_is_noted(scene, network):
    pages = [Image.fromarray(np.full((400, 120, 3), value, np.uint8)) for value in (60, 200)]
    pages[0].save(scene / "pages.tif", save_all=True, append_images=pages[1:])
    outputs = Outputs(composite=scene / "c.png", background=scene / "pages.tif")
    notes = run(scene, outputs, network).notes
    assert notes == [f"the background {scene / 'pages.tif'} holds several pictures: the first one was taken"]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_layers_hold_the_picture_the_foreground_and_the_matte_of_the_other_files(scene, network, dtype):
    picture = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (400, 120, 3), dtype, endpoint=True)
    cv2.imwrite(str(scene / "picture.png"), picture)
    outputs = Outputs(scene / "alpha.png", scene / "foreground.png", psd=scene / "layers.psd")
    assert run(scene, outputs, network).outputs == [str(path) for path in outputs.paths()]
    below, above = PSDImage.open(scene / "layers.psd")
    white = np.iinfo(dtype).max
    for values, name in (
        (below.numpy("color"), "picture.png"),
        (above.numpy("color"), "foreground.png"),
        (above.numpy("mask")[..., 0], "alpha.png"),
    ):
        expected = cv2.imread(str(scene / name), cv2.IMREAD_UNCHANGED)
        expected = expected if expected.ndim == 2 else expected[..., ::-1]
        assert expected.dtype == dtype
        np.testing.assert_array_equal(np.rint(values * white), expected)


def test_layers_of_a_linear_picture_are_display_encoded_in_16_bits(scene, network):
    light = np.random.default_rng(0).random((400, 120, 3), np.float32)
    with PictureWriter(scene / "picture.exr", 400, 120, channels=3, bit_depth="float") as writer:
        writer.write(light)
    outputs = Outputs(psd=scene / "layers.psd")
    matte_files(scene / "picture.exr", scene / "trimap.png", outputs, options=SMALL, network=network)
    file = PSDImage.open(scene / "layers.psd")
    assert file.depth == 16
    # half a step of 65535
    np.testing.assert_allclose(next(iter(file)).numpy("color"), linear_to_srgb(light), rtol=0, atol=0.6 / 65535)


@pytest.mark.parametrize("failing", ["alpha.png", "layers.psd"])
def test_layers_and_the_other_files_appear_together_or_not_at_all(scene, network, monkeypatch, failing):
    outputs = Outputs(scene / "alpha.png", psd=scene / "layers.psd")
    before, replace = {path.name for path in scene.iterdir()}, os.replace

    def stubborn(source, target):
        if target.name == failing:
            raise PermissionError(13, "Permission denied")
        replace(source, target)

    monkeypatch.setattr(together.os, "replace", stubborn)
    with pytest.raises(OutputError, match=rf"{failing} cannot be written"):
        run(scene, outputs, network)
    assert {path.name for path in scene.iterdir()} == before


def test_a_link_is_followed_and_its_file_comes_back(scene, targets, network, monkeypatch):
    real = scene / "real.png"
    real.write_bytes(b"elsewhere")
    targets.alpha.unlink()
    targets.alpha.symlink_to(real)

    kept = together._kept

    def failing(place):
        if place.name == "cutout.png":
            raise OutputError("the disk is full", hint="Make room.")
        return kept(place)

    with monkeypatch.context() as broken:
        broken.setattr(together, "_kept", failing)
        with pytest.raises(OutputError, match="the disk is full"):
            run(scene, targets, network)
    assert targets.alpha.is_symlink() and real.read_bytes() == b"elsewhere"
    run(scene, targets, network)
    assert targets.alpha.is_symlink() and cv2.imread(str(real), cv2.IMREAD_UNCHANGED).shape == (400, 120)


def tiled(path, pixels):
    height, width, channels = pixels.shape
    spec = oiio.ImageSpec(width, height, channels, "uint8")
    spec.tile_width = spec.tile_height = 64
    output = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), spec) and output.write_image(pixels) and output.close()


@pytest.mark.parametrize("which", ["matte", "matte_files"])
def test_no_file_is_closed_while_the_thread_that_reads_ahead_is_inside(scene, network, monkeypatch, which):
    """Ctrl-C between two rows of the matte, while the next window of a tiled file is read, which takes long here."""
    inside, done, closed_inside = threading.Event(), [], []
    window, close = PictureReader.window, PictureReader.close

    def read(*arguments):
        inside.set()
        threading.Event().wait(0.1)  # far more than it takes to close a file
        inside.clear()
        return window(*arguments)

    def watched(reader):
        closed_inside.append(inside.is_set())
        close(reader)

    class Interrupted:
        """Rows of a matte; the second ones are interrupted before they are asked for."""

        def __init__(self, rows):
            self.rows, self.close = rows, rows.close

        def __iter__(self):
            return self

        def __next__(self):
            if done:
                assert inside.wait(10)
                raise KeyboardInterrupt
            done.append(next(self.rows))
            return done[0]

    def interrupted(*arguments, **more):
        job = matte_rows(*arguments, **more)
        return replace(job, rows=Interrupted(job.rows))

    options = replace(SMALL, candidates=1)
    trimap = np.zeros((400, 200), np.uint8)
    trimap[10:-10, 10:-10], trimap[30:-30, 80:120] = 128, 255
    tiled(scene / "picture.tif", np.random.default_rng(0).integers(0, 256, (400, 200, 3), np.uint8))
    cv2.imwrite(str(scene / "trimap.png"), trimap)
    monkeypatch.setattr(PictureReader, "window", read)
    monkeypatch.setattr(PictureReader, "close", watched)
    monkeypatch.setattr(api if which == "matte" else files_module, "matte_rows", interrupted)
    with pytest.raises(KeyboardInterrupt):
        if which == "matte":
            api.matte(scene / "picture.tif", scene / "trimap.png", options=options, network=network)
        else:
            outputs = Outputs(scene / "alpha.png")
            matte_files(scene / "picture.tif", scene / "trimap.png", outputs, options=options, network=network)
    assert closed_inside and not any(closed_inside)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("hdmatt")]


def test_files_that_are_decoded_whole_are_part_of_the_plan():
    loaded = LoadedNetwork(network(), "tiny", "torch", "fp32", "cpu")
    given = [
        files_module._run_options(None, loaded, Outputs(alpha="a.png"), info(), None, whole) for whole in (0, 12345)
    ]
    assert given[1].reserved_bytes - given[0].reserved_bytes == 12345
    decoded = replace(info(), whole_bytes=7)
    assert files_module._whole_bytes(decoded, info(), decoded) == 14
