import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import hdmatt
from hdmatt import NetworkChoice, Options
from hdmatt.errors import InputError, ModelError, NoUnknownWarning
from hdmatt.network.checkpoint import save_model
from hdmatt.network.config import ModelConfig
from hdmatt.network.model import HDMatt
from hdmatt.system import memory


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_model(HDMatt(ModelConfig(width=4)), path, half=False)
    return path


@pytest.fixture(scope="module")
def scene():
    trimap = np.zeros((90, 120), np.uint8)
    trimap[20:70, 30:90], trimap[35:55, 50:70] = 128, 255
    return np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8), trimap


def cpu(weights):
    return NetworkChoice(weights, device="cpu")


@pytest.mark.release
def test_arrays_of_every_type_and_paths_give_the_same_matte(scene, weights, tmp_path):
    picture, trimap = scene
    cv2.imwrite(str(tmp_path / "p.png"), picture[..., ::-1])
    cv2.imwrite(str(tmp_path / "t.png"), trimap)
    reference = hdmatt.matte(picture, trimap, network=cpu(weights))
    assert reference.alpha.shape == (90, 120) and reference.alpha.dtype == np.float32
    same = [
        (tmp_path / "p.png", str(tmp_path / "t.png")),
        (picture.astype(np.uint16) * 257, trimap.astype(np.uint16) * 257),
        (picture / np.float32(255), trimap / np.float32(255)),
        (np.dstack([picture, trimap]), trimap),  # RGBA: alpha is ignored
    ]
    for a, b in same:
        # 1e-5: 8 bits, 16 bits and floats round differently by 1e-8
        np.testing.assert_allclose(hdmatt.matte(a, b, network=cpu(weights)).alpha, reference.alpha, atol=1e-5)


def test_a_matte_knows_its_foreground_cutout_and_composite(scene, weights):
    picture, trimap = scene
    matte = hdmatt.matte(picture, trimap, network=cpu(weights))
    known = trimap == 255
    np.testing.assert_array_equal(matte.foreground()[known], matte.picture[known])
    cutout = matte.cutout()
    np.testing.assert_array_equal(cutout[..., 3], matte.alpha)
    for background in ("#ff0000", (1.0, 0.0, 0.0), np.broadcast_to(np.uint8([255, 0, 0]), picture.shape)):
        over = matte.composite(background)
        np.testing.assert_allclose(over[trimap == 0], np.broadcast_to([1, 0, 0], over[trimap == 0].shape))
    with pytest.raises(InputError, match=r"an array of shape \(3, 3, 3\)"):
        matte.composite(np.zeros((3, 3, 3)))


def test_a_linear_matte_takes_colours_typed_by_people_as_display_encoded(scene, weights):
    from hdmatt.pictures.colours.colour import parse_colour, srgb_to_linear

    picture, trimap = scene
    light = (picture / np.float32(255)) ** 2
    matte = hdmatt.matte(light, trimap, network=cpu(weights), linear=True)
    over = matte.composite("#d8d2c8")[trimap == 0]
    np.testing.assert_allclose(over, np.broadcast_to(srgb_to_linear(parse_colour("#d8d2c8")), over.shape), atol=1e-6)


@pytest.mark.parametrize("bad", [(255.0, 255.0, 255.0), (np.nan, 0.0, 0.0), ("a", "b", "c")])
def test_a_colour_out_of_range_is_refused(scene, weights, bad):
    with pytest.raises(InputError):
        hdmatt.matte(*scene, network=cpu(weights)).composite(bad)


def test_an_array_has_no_layers(scene, weights):
    with pytest.raises(InputError, match="the picture is an array and has no layer 'rgba'"):
        hdmatt.matte(*scene, network=cpu(weights), input_layer="rgba")


def test_half_precision_weights_keep_norms_in_single_and_the_configuration(weights, tmp_path):
    model = hdmatt.load_model(weights)
    save_model(model, tmp_path / "half.safetensors", half=True)
    again = hdmatt.load_model(tmp_path / "half.safetensors")
    assert again.config == model.config and not again.training
    for name, tensor in model.state_dict().items():
        if tensor.ndim == 1:
            assert torch.equal(again.state_dict()[name], tensor)


def test_weights_that_lack_a_tensor_are_refused(weights, tmp_path):
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(weights, framework="pt") as file:
        metadata, tensors = file.metadata(), {n: file.get_tensor(n) for n in file.keys()}  # noqa: SIM118
    del tensors["decoder.alpha.bias"]
    save_file(tensors, tmp_path / "less.safetensors", metadata)
    with pytest.raises(ModelError, match="lacks 1 tensors"):
        hdmatt.load_model(tmp_path / "less.safetensors")


def test_a_trimap_without_unknown_pixels_warns(scene, weights):
    picture, trimap = scene
    with pytest.warns(NoUnknownWarning, match="the matte is the trimap"):
        matte = hdmatt.matte(picture, np.where(trimap == 128, 0, trimap).astype(np.uint8), network=cpu(weights))
    assert set(np.unique(matte.alpha)) == {0, 1}


def test_progress_is_told_of_every_patch(scene, weights):
    told = []
    options = Options(patch=64, overlap=16)
    hdmatt.matte(*scene, network=cpu(weights), options=options, progress=lambda a, b: told.append((a, b)))
    assert told[0] == (0, told[-1][1])  # while contexts are encoded
    done = [a for a, _ in told if a]
    assert told[-1][0] == told[-1][1] > 1 and done == sorted(set(done)) and [a for a, _ in told][-len(done) :] == done


def test_what_progress_raises_ends_the_work_before_the_first_patch(scene, weights):
    def stop(done, _):
        raise InterruptedError(done)

    with pytest.raises(InterruptedError, match="0"):
        hdmatt.matte(*scene, network=cpu(weights), options=Options(patch=64, overlap=16), progress=stop)


def test_help_and_import_load_no_torch():
    script = "import sys, hdmatt; from hdmatt.cli.main import main; main(['--help']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("False")


@pytest.mark.release
def test_the_peak_memory_with_colours_stays_under_the_plans(weights, tmp_path):
    """A subprocess, so that the peak is that of this one job."""
    trimap = np.zeros((1500, 5000), np.uint8)
    trimap[:, 2000:] = 255
    trimap[300:1200, 1900:2150] = 128
    picture = np.repeat(trimap[..., None] // 2 + 40, 3, axis=2)
    picture += np.arange(5000 * 3, dtype=np.uint32).reshape(5000, 3).astype(np.uint8) % 64
    cv2.imwrite(str(tmp_path / "p.png"), picture)
    cv2.imwrite(str(tmp_path / "t.png"), trimap)
    script = """
import sys
from pathlib import Path
from hdmatt import Options, Outputs, matte_files
from hdmatt.system import memory
folder = Path(sys.argv[1])
names = {kind: folder / f"{kind}.png" for kind in ("alpha", "foreground", "cutout", "composite")}
done = matte_files(folder / "p.png", folder / "t.png", Outputs(**names, background="#406080"), network=sys.argv[2],
                   options=Options(memory=memory.GIB))
assert done.patches > 3 and all(path.stat().st_size for path in names.values())
print(done.peak_memory, done.expected_memory)
"""
    command = [sys.executable, "-c", script, str(tmp_path), str(weights)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    peak, expected = map(int, done.stdout.split())
    # 2/3: an estimate so far above would refuse work that fits
    assert 2 / 3 * expected < peak < expected <= memory.GIB


@pytest.mark.release
def test_the_amount_a_refusal_states_is_enough_for_a_picture_as_wide_as_36_megapixels_with_colours(tmp_path):
    """The shipped network, whose patch takes more than a tile; a subprocess, so that the peak is this job's."""
    width = 7388  # of 36 megapixels, 3:2; the height adds nothing
    trimap = np.zeros((1300, width), np.uint8)
    trimap[:, 3000:] = 255
    trimap[100:1150, 2900:3150] = 128  # in both rows of tiles
    picture = np.repeat(trimap[..., None] // 2 + 40, 3, axis=2)
    picture += np.arange(width * 3, dtype=np.uint32).reshape(width, 3).astype(np.uint8) % 64
    cv2.imwrite(str(tmp_path / "p.png"), picture)
    cv2.imwrite(str(tmp_path / "t.png"), trimap)
    script = """
import sys
from pathlib import Path
from hdmatt import Options, Outputs, matte_files
from hdmatt.errors import MemoryLimitError
from hdmatt.inference import needs
from hdmatt.system import memory
folder = Path(sys.argv[1])
names = {kind: folder / f"{kind}.png" for kind in ("alpha", "foreground", "cutout")}

def run(limit):
    return matte_files(folder / "p.png", folder / "t.png", Outputs(**names), options=Options(memory=limit))

def refusal(limit):
    try:
        run(limit)
    except MemoryLimitError as error:
        return memory.parse_bytes(error.hint.split("at least ")[1].split(" ")[0])

enough = refusal(memory.MIB)
assert refusal(enough - 2 * needs.SPREAD) and not any(path.exists() for path in names.values())
done = run(enough)
assert done.patches > 3 and all(path.stat().st_size for path in names.values())
print(done.peak_memory, done.expected_memory, enough)
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    peak, expected, enough = map(int, done.stdout.split())
    assert enough < 1.2e9
    # 3/4: an estimate so far above would refuse work that fits
    assert 3 / 4 * expected < peak < expected <= enough


class Somewhere:
    """A path that is neither text nor pathlib's."""

    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return str(self.path)


def test_what_programs_hold_gives_the_same_matte_as_arrays(scene, weights, tmp_path):
    from PIL import Image

    picture, trimap = scene
    Image.fromarray(picture).save(tmp_path / "p.png")
    Image.fromarray(trimap).save(tmp_path / "t.png")
    reference = hdmatt.matte(picture, trimap, network=cpu(weights))
    for a, b in [
        (Image.fromarray(picture), Image.fromarray(trimap)),
        (torch.from_numpy(picture), torch.from_numpy(trimap)),
        (picture.tolist(), trimap.tolist()),
        (Somewhere(tmp_path / "p.png"), Somewhere(tmp_path / "t.png")),
        (picture.astype(">i8")[::-1].copy()[::-1], np.asfortranarray(trimap.astype(np.int32))),
    ]:
        matte = hdmatt.matte(a, b, network=cpu(weights))
        np.testing.assert_array_equal(matte.alpha, reference.alpha)
        np.testing.assert_array_equal(matte.picture, reference.picture)


def test_backgrounds_of_every_kind_are_the_same_composite(scene, weights):
    from PIL import Image

    matte = hdmatt.matte(*scene, network=cpu(weights))
    red = np.zeros((90, 120, 3), np.uint8)
    red[..., 0] = 255
    reference = matte.composite((1.0, 0.0, 0.0))
    for same in ((1, 0, 0), [1, 0, 0], "red", np.array([1.0, 0, 0]), torch.tensor([1.0, 0, 0]), np.uint8([255, 0, 0])):
        np.testing.assert_array_equal(matte.composite(same), reference)
    for same in (red, Image.fromarray(red), torch.from_numpy(red), red.tolist(), red / np.float64(255)):
        np.testing.assert_array_equal(matte.composite(same), reference)
    grey = np.full((90, 120), 0.25, np.float32)
    np.testing.assert_array_equal(matte.composite(grey), matte.composite((0.25, 0.25, 0.25)))


def test_a_transparent_background_gives_a_transparent_composite(tmp_path):
    from PIL import Image

    picture = np.full((4, 6, 3), 0.8, np.float32)
    matte = hdmatt.Matte(np.repeat(np.float32([[0, 0.5, 1]]), 4, axis=0).repeat(2, axis=1), picture)
    ground = np.full((4, 6, 4), 51, np.uint8)  # 0.2
    np.testing.assert_array_equal(matte.composite(ground | np.uint8([0, 0, 0, 255])), matte.composite(ground[..., :3]))
    ground[..., 3] = 0, 255, 0, 255, 0, 255
    Image.fromarray(ground).save(tmp_path / "ground.png")
    expected = np.zeros((4, 6, 4))
    expected[:, 1:] = (
        (0.2, 0.2, 0.2, 1),
        (0.8, 0.8, 0.8, 0.5),
        (0.5, 0.5, 0.5, 1),
        (0.8, 0.8, 0.8, 1),
        (0.8,) * 3 + (1,),
    )
    for given in (ground, ground / 255, Image.fromarray(ground), tmp_path / "ground.png", str(tmp_path / "ground.png")):
        np.testing.assert_allclose(matte.composite(given), expected, rtol=0, atol=1e-6)


def test_a_typed_colour_and_a_file_behind_a_matte_are_converted_to_its_profile(scene, weights, tmp_path):
    import io

    from PIL import Image, ImageCms
    from small_profiles import gamma, make_profile

    icc = make_profile(gamma(2.2), "Adobe RGB")
    Image.fromarray(scene[0]).save(tmp_path / "p.png", icc_profile=icc)
    Image.fromarray(np.full_like(scene[0], (255, 136, 0))).save(tmp_path / "ground.png")
    matte = hdmatt.matte(tmp_path / "p.png", scene[1], network=cpu(weights))
    known = scene[1] == 0
    colour = Image.new("RGB", (1, 1), "#ff8800")
    wanted = ImageCms.profileToProfile(colour, ImageCms.createProfile("sRGB"), io.BytesIO(icc), renderingIntent=1)
    for given in ("#ff8800", tmp_path / "ground.png"):
        np.testing.assert_allclose(matte.composite(given)[known][0] * 255, wanted.getpixel((0, 0)), rtol=0, atol=1)


@pytest.mark.parametrize(
    "bad",
    [
        (-1.0, 0.0, 0.0),
        (255, 0, 0),
        np.uint8([1, 0, 0]),
        (1, 0),
        (None, 0, 0),
        None,
        7,
        np.full((90, 120, 3), 254.0, np.float32),
        np.full((90, 120, 4), 2.0),
        np.zeros((90, 120, 5)),
        Path("beach.png"),
        "beach.png",
        np.full((90, 120, 3), np.nan),
    ],
    ids=repr,
)
def test_a_background_that_is_none_is_refused(scene, weights, bad):
    with pytest.raises(InputError) as caught:
        hdmatt.matte(*scene, network=cpu(weights)).composite(bad)
    assert caught.value.hint


def test_what_a_matte_hands_out_changes_no_later_result(scene, weights):
    matte = hdmatt.matte(*scene, network=cpu(weights))
    before = matte.cutout()
    matte.foreground()[:] = 0
    matte.cutout()[:] = 0
    for array in (matte.alpha, matte.picture):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0
    np.testing.assert_array_equal(matte.cutout(), before)


def test_scores_take_what_programs_hold(rng):
    from PIL import Image

    trimap = np.full((20, 30), 128, np.uint8)
    one, other = rng.integers(0, 256, (2, 20, 30), np.uint8)
    reference = hdmatt.score(one, other, trimap).sad
    for kind in (Image.fromarray, torch.from_numpy, np.ndarray.tolist, np.asfortranarray):
        assert hdmatt.score(kind(one), kind(other), kind(trimap)).sad == reference
    for wrong in (None, "a.png", 3, one[..., None]):
        with pytest.raises(InputError):
            hdmatt.score(wrong, other, trimap)


def test_a_matte_says_how_its_files_were_read(scene, weights, tmp_path):
    picture, trimap = scene
    Image.fromarray(picture).convert("CMYK").save(tmp_path / "p.tif")
    assert "holds CMYK colours" in hdmatt.matte(tmp_path / "p.tif", trimap, network=cpu(weights)).notes[0]
    assert hdmatt.matte(picture, trimap, network=cpu(weights)).notes == ()


@pytest.mark.release
def test_eight_calls_at_once_give_what_one_gives(weights, scene, tmp_path):
    """As in a web service: by name, so the network is loaded by whichever comes first, and shared."""
    fresh = tmp_path / "fresh.safetensors"
    fresh.write_bytes(weights.read_bytes())
    options = Options(patch=64, overlap=16, memory="4GiB")

    def one(_):
        return hdmatt.matte(*scene, options=options, network=cpu(fresh)).alpha

    with ThreadPoolExecutor(8) as threads:
        several = list(threads.map(one, range(8)))
    for alpha in several:
        np.testing.assert_array_equal(alpha, one(0))
