"""hdmatt.evaluation.testsets: one tiny made-up copy of every layout, the official composition, and what is refused."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from repeated import examples

from hdmatt.errors import InputError, OutputError
from hdmatt.evaluation.compose import Composition, compose, read_composition
from hdmatt.evaluation.testsets import LAYOUTS, Item, discover, require_trimaps
from hdmatt.samples.packs import discover_assets
from paper.compose_test_set import compose_test_set


def make(root, *names, pixels=None):
    """Write a tiny picture under each name; `a/{1,2}.png` stands for two."""
    for name in names:
        before, _, rest = name.partition("{")
        inside, _, after = rest.partition("}")
        for middle in inside.split(","):
            path = Path(root) / f"{before}{middle}{after}"
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), np.zeros((2, 3), np.uint8) if pixels is None else pixels)


def listed(items, root):
    """(name, picture, trimap, alpha, variant), with paths relative to the folder."""

    def short(path):
        return path if path is None else path.relative_to(root).as_posix()

    return [(item.name, short(item.picture), short(item.trimap), short(item.alpha), item.variant) for item in items]


# --------------------------------------------------------------------------------------------------------------------
# One test a layout
# --------------------------------------------------------------------------------------------------------------------


def test_pairs_give_every_picture_with_every_trimap_folder_in_natural_order(tmp_path):
    make(tmp_path, "image/{GT10,GT2}.jpg", "trimap1/{GT10,GT2}.png", "trimap2/{GT10,GT2}.png", "alpha/{GT10,GT2}.png")
    assert listed(discover(tmp_path), tmp_path) == [
        ("GT2", "image/GT2.jpg", "trimap1/GT2.png", "alpha/GT2.png", "trimap1"),
        ("GT10", "image/GT10.jpg", "trimap1/GT10.png", "alpha/GT10.png", "trimap1"),
        ("GT2", "image/GT2.jpg", "trimap2/GT2.png", "alpha/GT2.png", "trimap2"),
        ("GT10", "image/GT10.jpg", "trimap2/GT10.png", "alpha/GT10.png", "trimap2"),
    ]


def test_pairs_may_be_called_images_and_mask_and_lack_trimaps_or_mattes(tmp_path):
    make(tmp_path / "mattes", "images/a.png", "mask/a.png")
    make(tmp_path / "trimaps", "images/a.png", "trimap/a.png")
    mattes, trimaps = discover(tmp_path / "mattes"), discover(str(tmp_path / "trimaps"), "pairs")
    assert listed(mattes, tmp_path / "mattes") == [("a", "images/a.png", None, "mask/a.png", "")]
    assert listed(trimaps, tmp_path / "trimaps") == [("a", "images/a.png", "trimap/a.png", None, "trimap")]


def test_alphamatting_training_pictures(tmp_path):
    make(
        tmp_path,
        "input_training_lowres/GT01.png",
        "trimap_training_lowres/Trimap1/GT01.png",
        "trimap_training_lowres/Trimap2/GT01.png",
        "gt_training_lowres/GT01.png",
    )
    truth = "gt_training_lowres/GT01.png"
    assert listed(discover(tmp_path), tmp_path) == [
        ("GT01", "input_training_lowres/GT01.png", "trimap_training_lowres/Trimap1/GT01.png", truth, "Trimap1"),
        ("GT01", "input_training_lowres/GT01.png", "trimap_training_lowres/Trimap2/GT01.png", truth, "Trimap2"),
    ]


def test_alphamatting_test_pictures_have_three_trimaps_and_no_truth(tmp_path):
    make(tmp_path, "input_lowres/doll.png", *(f"trimap_lowres/Trimap{i}/doll.png" for i in (1, 2, 3)))
    items = discover(tmp_path)
    assert [(item.name, item.alpha, item.variant) for item in items] == [
        ("doll", None, "Trimap1"),
        ("doll", None, "Trimap2"),
        ("doll", None, "Trimap3"),
    ]


@pytest.mark.parametrize(
    ("layout", "root", "picture", "trimap", "alpha"),
    [
        ("alphamatting-highres", "", "input_training_highres", "trimap_training_highres", "gt_training_highres"),
        ("composition1k", "", "merged", "trimaps", "alpha_copy"),
        ("composition1k", "test", "merged", "trimaps", "alpha_copy"),  # UHR-395
        ("uhr395", "test", "merged", "trimaps", "alpha_copy"),
        ("uhr395", "", "merged", "trimaps", "alpha_copy"),
        ("aim500", "AIM-500", "original", "trimap", "mask"),
        ("aim500", "", "original", "trimap", "mask"),
        ("am2k", "validation", "original", "trimap", "mask"),
        ("p3m500-np", "validation/P3M-500-NP", "original_image", "trimap", "mask"),
        ("p3m500-np", "", "original_image", "trimap", "mask"),
        ("p3m500-p", "P3M-500-P", "blurred_image", "trimap", "mask"),
        ("distinctions646", "Test", "merged", "trimap", "gt"),
        ("transparent460", "", "composited_images", "trimap_copy", "alpha_copy"),
    ],
)
def test_layouts_of_three_folders(tmp_path, layout, root, picture, trimap, alpha):
    folder = tmp_path / root
    make(folder, f"{picture}/{{b,a}}.jpg", f"{trimap}/{{b,a}}.png", f"{alpha}/{{b,a}}.png", "usr/b.png", "fg/b.png")
    expected = [(name, f"{picture}/{name}.jpg", f"{trimap}/{name}.png", f"{alpha}/{name}.png", trimap) for name in "ab"]
    assert listed(discover(tmp_path), folder) == expected
    assert discover(tmp_path, layout) == discover(tmp_path)


def adobe(root, foregrounds=2):
    """Adobe's test set with two foregrounds and forty backgrounds, the second foreground first."""
    names = [f"f{i}" for i in reversed(range(foregrounds))]
    backgrounds = [f"2008_{i:06}.jpg" for i in reversed(range(20 * foregrounds))]
    rng = np.random.default_rng(0)
    for name in names:
        folder = f"{root}/Combined_Dataset/Test_set/Adobe-licensed images"
        make(folder, f"fg/{name}.png", pixels=rng.integers(0, 256, (9, 14, 3), np.uint8))
        make(folder, f"alpha/{name}.png", pixels=np.dstack([rng.integers(0, 256, (9, 14), np.uint8)] * 3))
        for i in range(20):
            make(folder, f"trimaps/{name}_{i}.png", pixels=np.full((9, 14), 128, np.uint8))
    for name in backgrounds:
        make(f"{root}/VOCdevkit/VOC2012/JPEGImages", name, pixels=rng.integers(0, 256, (5, 6, 3), np.uint8))
    lists = Path(root) / "Combined_Dataset/Test_set"
    (lists / "test_fg_names.txt").write_bytes("".join(f"{name}.png\r\n" for name in names).encode())
    (lists / "test_bg_names.txt").write_bytes("\r\n".join(backgrounds).encode())
    return Path(root) / "Combined_Dataset", Path(root) / "VOCdevkit"


def test_adobe_gives_the_first_twenty_backgrounds_to_the_first_foreground(tmp_path):
    set_folder, voc = adobe(tmp_path)
    items = discover(set_folder, backgrounds=voc)
    assert [item.name for item in items] == [f"f{f}_{i}" for f in (1, 0) for i in range(20)]
    first, last = items[0], items[-1]
    licensed = set_folder / "Test_set/Adobe-licensed images"
    assert first.picture == Composition(
        licensed / "fg/f1.png", licensed / "alpha/f1.png", voc / "VOC2012/JPEGImages/2008_000039.jpg"
    )
    assert first.trimap == licensed / "trimaps/f1_0.png" and first.alpha == licensed / "alpha/f1.png"
    assert isinstance(last.picture, Composition) and last.picture.background.name == "2008_000000.jpg"


def test_compose_test_set_writes_the_pictures_the_trimaps_and_a_matte_for_each(tmp_path):
    set_folder, voc = adobe(tmp_path, foregrounds=1)
    parts = discover(set_folder, backgrounds=voc / "VOC2012/JPEGImages")
    written = compose_test_set(set_folder, voc, tmp_path / "out")
    assert [item.name for item in written] == [f"f0_{i}" for i in range(20)]
    assert listed(written, tmp_path / "out")[3] == (
        "f0_3",
        "merged/f0_3.png",
        "trimaps/f0_3.png",
        "alpha_copy/f0_3.png",
        "trimaps",
    )
    for part, item in zip(parts, written, strict=True):
        assert isinstance(part.picture, Composition) and isinstance(item.picture, Path)
        np.testing.assert_array_equal(
            cv2.imread(str(item.picture), cv2.IMREAD_COLOR_RGB), read_composition(part.picture)
        )
        matte = cv2.imread(str(item.alpha), cv2.IMREAD_UNCHANGED)
        assert matte is not None and matte.ndim == 2  # though Adobe's was RGB
    with pytest.raises(OutputError, match="holds files already"):
        compose_test_set(set_folder, voc, tmp_path / "out")


def test_distinctions646_in_parts_follows_its_list_and_ships_no_trimap(tmp_path):
    make(tmp_path, "D646/Test/FG/{a,b}.png", "D646/Test/GT/{a,b}.png", "voc/v.jpg")
    (tmp_path / "D646/Test/bg_test.txt").write_text("v.jpg\n" * 40)
    items = discover(tmp_path / "D646", backgrounds=tmp_path / "voc")
    assert [item.name for item in items] == [f"{name}_{i}" for name in "ab" for i in range(20)]
    assert {(item.trimap, item.variant) for item in items} == {(None, "")}
    with pytest.raises(InputError, match="40 of 40 pictures have no trimap, the first is a_0") as caught:
        require_trimaps(items, make_trimap=None)
    assert "--make-trimap 20" in caught.value.hint
    require_trimaps(items, make_trimap=20)


def test_transparent460_in_parts_takes_the_backgrounds_in_order(tmp_path):
    make(tmp_path, "T/Test/fg/{a,b}.jpg", "T/Test/alpha/{a,b}.png", "T/Test/trimap/{a,b}.png")
    make(tmp_path, *(f"bg/{i}.jpg" for i in range(41)))
    items = discover(tmp_path / "T", backgrounds=tmp_path / "bg")
    assert [item.name for item in items] == [f"{name}_{i}" for name in "ab" for i in range(20)]
    assert items[21].trimap == tmp_path / "T/Test/trimap/b.png"
    assert [item.picture.background.stem for item in items] == [str(i) for i in range(40)]
    with pytest.raises(InputError, match="holds 1 background, need 40"):
        make(tmp_path, "few/1.jpg")
        discover(tmp_path / "T", backgrounds=tmp_path / "few")


def test_pictures_that_are_there_beat_pictures_that_must_be_composed(tmp_path):
    make(tmp_path, "Test/fg/a.png", "Test/alpha/a.png", "Test/trimap/a.png")
    make(tmp_path, "Test/composited_images/a_0.png", "Test/alpha_copy/a_0.png", "Test/trimap_copy/a_0.png")
    assert [item.name for item in discover(tmp_path)] == ["a_0"]


# --------------------------------------------------------------------------------------------------------------------
# Composing
# --------------------------------------------------------------------------------------------------------------------


@examples(12)
@given(st.integers(0, 2**32 - 1), st.tuples(*[st.integers(1, 12)] * 4))
def test_compose_equals_the_official_script(seed, sizes):
    height, width, *background_size = sizes
    rng = np.random.default_rng(seed)
    foreground, background = (rng.integers(0, 256, (*size, 3), np.uint8) for size in ((height, width), background_size))
    alpha = rng.choice(np.array([0, 255, 3, 128, 200], np.uint8), (height, width))
    scale = max(width / background_size[1], height / background_size[0])
    covering = background
    if scale > 1:
        enlarged = [math.ceil(length * scale) for length in background_size]
        covering = reference.pillow_bicubic(background, *enlarged)
    np.testing.assert_array_equal(
        compose(foreground, alpha, background), reference.adobe_composite(foreground, alpha, covering)
    )


def test_the_twin_enlarges_as_pillow_does():
    picture = np.random.default_rng(0).choice(np.array([0, 255, 17], np.uint8), (7, 5, 3))
    pillow = np.asarray(Image.fromarray(picture).resize((13, 16), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(reference.pillow_bicubic(picture, 16, 13), pillow)


def test_composing_cuts_instead_of_rounding():
    grey = np.full((1, 1, 3), 10, np.uint8)
    # 229 / 255 of the way from 10 to 11: 10.898 becomes 10
    assert compose(grey + 1, np.array([[229]], np.uint8), grey)[0, 0, 0] == 10
    assert compose(grey + 1, np.array([[255]], np.uint8), grey)[0, 0, 0] == 11


def test_a_foreground_and_its_matte_must_have_one_size(tmp_path):
    make(tmp_path, "fg.png", "bg.png", pixels=np.zeros((4, 4, 3), np.uint8))
    make(tmp_path, "alpha.png", pixels=np.zeros((4, 5), np.uint8))
    with pytest.raises(InputError, match=r"fg\.png is 4x4 but .*alpha\.png is 4x5 \(height x width\)"):
        read_composition(Composition(tmp_path / "fg.png", tmp_path / "alpha.png", tmp_path / "bg.png"))
    (tmp_path / "alpha.png").write_text("not a picture")
    with pytest.raises(InputError, match=r"alpha\.png is no picture"):
        read_composition(Composition(tmp_path / "fg.png", tmp_path / "alpha.png", tmp_path / "bg.png"))


# --------------------------------------------------------------------------------------------------------------------
# Assets
# --------------------------------------------------------------------------------------------------------------------


def test_packs_collect_all_folders_of_foregrounds_and_backgrounds(tmp_path):
    make(tmp_path, "foregrounds/{fur_10,fur_9}.png", "foregrounds-extra/leaf.webp", "backgrounds/{b,a}.jpg")
    (tmp_path / "foregrounds/README.md").write_text("credits")
    pack = discover_assets(tmp_path)
    assert [path.name for path in pack.foregrounds] == ["fur_9.png", "fur_10.png", "leaf.webp"]
    assert [path.name for path in pack.backgrounds] == ["a.jpg", "b.jpg"]


def test_adobes_training_layout_gives_pairs_of_colours_and_matte(tmp_path):
    make(tmp_path, "fg/{b,a}.jpg", "alpha/{b,a}.png", "bg/x.jpg")
    pack = discover_assets(tmp_path)
    assert pack.foregrounds == [(tmp_path / f"fg/{name}.jpg", tmp_path / f"alpha/{name}.png") for name in "ab"]
    assert pack.backgrounds == [tmp_path / "bg/x.jpg"]


def test_a_pack_may_hold_backgrounds_only(tmp_path):
    make(tmp_path, "backgrounds/a.png")
    assert discover_assets(tmp_path).foregrounds == []


def test_what_is_no_pack_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"looked for foregrounds/"):
        discover_assets(tmp_path)
    make(tmp_path, "foregrounds/a.jpg")
    with pytest.raises(InputError, match=r"a\.jpg is no PNG or WebP"):
        discover_assets(tmp_path)
    make(tmp_path / "pairs", "fg/{a,b}.png", "alpha/a.png")
    with pytest.raises(InputError, match=r"b\.png has no matte"):
        discover_assets(tmp_path / "pairs")


# --------------------------------------------------------------------------------------------------------------------
# Errors
# --------------------------------------------------------------------------------------------------------------------


def test_an_unknown_folder_is_told_every_layout_that_was_looked_for(tmp_path):
    with pytest.raises(InputError, match="is no test set that we know") as caught:
        discover(tmp_path)
    for layout in LAYOUTS:
        assert f"{layout.name}: " in caught.value.message
    assert "pairs: image|images/ + trimap*/ and/or alpha|" in caught.value.message
    assert "am2k: original/ + trimap/ + mask/ (also in validation, AM-2k/validation)" in caught.value.message


def test_a_folder_that_fits_two_layouts_needs_to_be_told_which(tmp_path):
    make(tmp_path, "P3M-500-NP/original_image/a.jpg", "P3M-500-NP/mask/a.png", "P3M-500-NP/trimap/a.png")
    make(tmp_path, "P3M-500-P/blurred_image/b.jpg", "P3M-500-P/mask/b.png", "P3M-500-P/trimap/b.png")
    with pytest.raises(InputError, match="several layouts: p3m500-np, p3m500-p") as caught:
        discover(tmp_path)
    assert caught.value.hint == "Choose one: --layout p3m500-np"
    assert [item.name for item in discover(tmp_path, "p3m500-p")] == ["b"]


def test_a_missing_file_is_named(tmp_path):
    make(tmp_path, "image/{a,b,c}.png", "trimap/a.png", "alpha/{a,b,c}.png")
    with pytest.raises(InputError, match=r"image/b\.png has no trimap: .*b\.\* in .*trimap \(1 more like it\)$"):
        discover(tmp_path)
    make(tmp_path, "trimap/{b,c,d}.png")
    with pytest.raises(InputError, match=r"trimap/d\.png has no picture"):
        discover(tmp_path)
    make(tmp_path, "image/d.png")
    with pytest.raises(InputError, match=r"image/d\.png has no true matte"):
        discover(tmp_path)


def test_empty_folders_unknown_layouts_and_double_names_are_refused(tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        discover(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no layout 'coco'"):
        discover(tmp_path, "coco")
    make(tmp_path, "image/._a.png", "trimap/a.png")  # what macOS leaves does not count
    with pytest.raises(InputError, match="image holds no pictures"):
        discover(tmp_path)
    make(tmp_path, "image/a.png", "image/a.jpg")
    with pytest.raises(InputError, match=r"a\.jpg and .*a\.png have the same name"):
        discover(tmp_path)


def test_sets_in_parts_say_which_part_is_missing(tmp_path):
    set_folder, voc = adobe(tmp_path, foregrounds=1)
    with pytest.raises(InputError, match="must be composed over backgrounds") as caught:
        discover(set_folder)
    assert "--backgrounds" in caught.value.hint
    (voc / "VOC2012/JPEGImages/2008_000007.jpg").unlink()
    with pytest.raises(InputError, match=r"1 of 20 backgrounds are not in .*first is 2008_000007\.jpg"):
        discover(set_folder, backgrounds=voc)
    names = set_folder / "Test_set/test_bg_names.txt"
    for outside in ("../secret.jpg", "/etc/secret.jpg", "a/../../secret.jpg", "..\\secret.jpg", "C:\\secret.jpg"):
        names.write_text(f"2008_000001.jpg\n{outside}\n")
        with pytest.raises(InputError, match=r"test_bg_names\.txt names .*secret\.jpg, which leaves"):
            discover(set_folder, backgrounds=voc)
    names.write_text("2008_000001.jpg\n")
    with pytest.raises(InputError, match=r"names 1 backgrounds for 1 foregrounds, need 20"):
        discover(set_folder, backgrounds=voc)
    names.unlink()
    with pytest.raises(InputError, match=r"test_bg_names\.txt is missing"):
        discover(set_folder, backgrounds=voc)


def test_an_item_without_trimap_and_truth_cannot_be_measured():
    lonely = Item("a", Path("a.png"), None, None, "")
    with pytest.raises(InputError, match="a has neither a trimap nor a true matte"):
        require_trimaps([lonely], make_trimap=10)
