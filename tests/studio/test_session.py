"""hdmatt.Session: the matte follows the strokes, and is the one of a whole run where it must be."""

import os

import cv2
import numpy as np
import pytest
import small_network

import hdmatt
from hdmatt.errors import InputError
from hdmatt.inference import pool
from hdmatt.pictures.box import Box
from hdmatt.studio.strokes import Stroke
from hdmatt.studio.trimap_tiles import TrimapTiles

OPTIONS = hdmatt.Options(patch=64, overlap=16, candidates=3, windows="grid", memory="4GiB")
BLOB = Stroke("brush", 128, ((80.0, 90.0, 18.0), (100.0, 60.0, 12.0)))


@pytest.fixture(scope="module")
def model():
    return small_network.network()


def scene():
    """Four patches: picture and trimap, the disc of the small network's scene."""
    picture, trimap = small_network.scene()
    return np.ascontiguousarray(picture[20:130, 10:110]), np.ascontiguousarray(trimap[20:130, 10:110])


def session(model, trimap=None, **more):
    picture, given = scene()
    return hdmatt.Session(picture, given if trimap is None else trimap, options=OPTIONS, network=model, **more)


def whole_run(model, trimap):
    return hdmatt.matte(scene()[0], trimap, options=OPTIONS, network=model).alpha


def test_a_session_without_strokes_has_the_bytes_of_a_whole_run(model):
    with session(model) as open_session:
        boxes = list(open_session.update())
        assert len(boxes) > 3 and open_session.pending == 0
        assert np.array_equal(open_session.alpha(), whole_run(model, scene()[1]))


@pytest.mark.release
def test_a_box_of_the_matte_is_cut_out_of_the_whole(model):
    with session(model) as open_session:
        list(open_session.update(near=(100, 10)))
        assert np.array_equal(open_session.alpha(Box(33, 21, 90, 77)), open_session.alpha()[33:90, 21:77])


def test_only_windows_that_a_stroke_touches_are_computed_again(model):
    with session(model) as open_session:
        windows = len(list(open_session.update()))
        open_session.paint(Stroke("brush", 255, ((10.0, 90.0, 4.0),)))
        touched = open_session.pending
        assert 0 < touched < windows
        boxes = list(open_session.update())
        assert len(boxes) == touched and all(y0 <= 14 and y1 > 6 and x1 > 86 for y0, _, y1, x1 in boxes)


@pytest.mark.release
def test_after_strokes_and_a_refresh_the_matte_is_near_to_a_whole_run(model):
    with session(model) as open_session:
        list(open_session.update())
        open_session.paint(BLOB)
        list(open_session.update())
        assert open_session.stale
        assert open_session.refresh() and not open_session.stale
        list(open_session.update())
        trimap = open_session.trimap()
        expected = whole_run(model, trimap)
        y0, x0, y1, x1 = 64, 42, 110, 100
        touched = (trimap == 128)[y0:y1, x0:x1]
        # windows that were not touched keep the contexts of before; within those that were, the mean is below 1/255
        assert np.abs(open_session.alpha() - expected)[y0:y1, x0:x1][touched].mean() < 1 / 255


def test_known_pixels_are_exact_before_anything_is_computed(model):
    with session(model) as open_session:
        alpha, trimap = open_session.alpha(), open_session.trimap()
        assert (alpha[trimap == 0] == 0).all() and (alpha[trimap == 255] == 1).all()
        assert (alpha[trimap == 128] == 0.5).all()


def test_nothing_is_computed_while_no_pixel_is_known(model):
    with hdmatt.Session(scene()[0], options=OPTIONS, network=model) as open_session:
        assert list(open_session.update()) == [] and not open_session.refresh()
        open_session.paint(Stroke("brush", 0, ((10.0, 10.0, 9.0),)))
        assert next(open_session.update(near=(10, 10)))[:2] == (0, 0)


@pytest.mark.release
def test_the_nearest_window_comes_first(model):
    with session(model) as open_session:
        boxes = list(open_session.update(near=(109.0, 99.0)))
        middles = [np.hypot((y0 + y1) / 2 - 109, (x0 + x1) / 2 - 99) for y0, x0, y1, x1 in boxes]
        assert middles == sorted(middles)


@pytest.mark.release
def test_a_stroke_during_an_update_is_taken_into_account(model):
    with session(model) as open_session:
        for count, _ in enumerate(open_session.update()):
            if count == 1:
                open_session.paint(BLOB)
        assert open_session.pending == 0
        open_session.refresh()
        list(open_session.update())
        assert np.abs(open_session.alpha() - whole_run(model, open_session.trimap())).mean() < 1 / 255


def test_a_patch_that_is_no_longer_wanted_stays_pending(model):
    with session(model) as open_session:
        open_session.refresh()
        asked = []
        assert list(open_session.update(stopped=lambda: asked.append(1) or len(asked) > 1)) == []
        assert len(asked) == 2 and open_session.pending == len(open_session._windows.pending) > 3


def test_a_session_says_what_was_never_computed_and_what_is_old(model):
    with session(model) as open_session:
        open_session.refresh()
        never, old = open_session.waiting()
        assert not old and {y0 for y0, *_ in never} == {0, 46}  # neighbours of a row are one box
        next(open_session.update())
        assert open_session.waiting()[0] != never and not open_session.waiting()[1]
        open_session.paint(Stroke("brush", 128, ((5.0, 50.0, 3.0),)))
        assert (0, 0) in {box[:2] for box in open_session.waiting()[1]}


@pytest.mark.release
def test_undo_and_redo_bring_the_matte_back(model):
    with session(model) as open_session:
        list(open_session.update())
        before = open_session.alpha()
        assert open_session.paint(BLOB) == open_session.undo()
        list(open_session.update())
        assert np.array_equal(open_session.alpha(), before) and open_session.steps() == (0, 1)
        assert open_session.redo() is not None and open_session.redo() is None
        assert (open_session.trimap()[78:82, 88:92] == 128).all()


@pytest.mark.release
def test_a_stopped_refresh_changes_nothing(model):
    with session(model) as open_session:
        list(open_session.update())
        before = open_session.alpha()
        open_session.paint(BLOB)
        assert not open_session.refresh(stopped=lambda: True)
        open_session.undo()
        list(open_session.update())
        assert np.array_equal(open_session.alpha(), before)


def test_a_refresh_stops_between_two_patches_of_the_pool(model, monkeypatch):
    encoded, encode = [], pool._encode
    monkeypatch.setattr(pool, "_encode", lambda *given: encoded.append(1) or encode(*given))
    with session(model) as open_session:
        assert open_session.refresh()
        every = len(encoded)
        encoded.clear()
        assert not open_session.refresh(stopped=lambda: bool(encoded))
        assert 0 < len(encoded) < every


def test_a_refresh_also_stops_while_it_reads_the_trimap(model, monkeypatch):
    """At 400 megapixels that takes seconds, in which strokes must not wait."""
    read, rows = [], TrimapTiles.rows
    monkeypatch.setattr(TrimapTiles, "rows", lambda *given: read.append(1) or rows(*given))
    with session(model) as open_session:
        assert not open_session.refresh(stopped=lambda: True) and not read
        assert open_session.refresh() and read


def files(tmp_path):
    picture, trimap = scene()
    cv2.imwrite(str(tmp_path / "picture.png"), picture[..., ::-1])
    cv2.imwrite(str(tmp_path / "trimap.png"), trimap)
    return tmp_path / "picture.png", tmp_path / "trimap.png"


@pytest.mark.release
def test_an_export_has_the_bytes_of_a_run_with_the_saved_trimap(model, tmp_path):
    picture, trimap = files(tmp_path)
    with hdmatt.Session(picture, trimap, options=OPTIONS, network=model) as open_session:
        open_session.paint(BLOB)
        open_session.save_trimap(tmp_path / "painted.png")
        open_session.export(hdmatt.Outputs(tmp_path / "exported.png", cutout=tmp_path / "exported-cutout.png"))
    wanted = hdmatt.Outputs(tmp_path / "alpha.png", cutout=tmp_path / "cutout.png")
    hdmatt.matte_files(picture, tmp_path / "painted.png", wanted, options=OPTIONS, network=model)
    for one, other in (("exported.png", "alpha.png"), ("exported-cutout.png", "cutout.png")):
        assert (tmp_path / one).read_bytes() == (tmp_path / other).read_bytes()


def test_a_session_goes_on_from_its_journal(model, tmp_path):
    picture, trimap = files(tmp_path)
    given = {"options": OPTIONS, "network": model, "journal": tmp_path / "journal"}
    killed = hdmatt.Session(picture, trimap, **given)
    killed.paint(BLOB)
    killed.paint(Stroke("fill", 255, ((2.0, 2.0, 0.0),)))
    killed.undo()
    with hdmatt.Session(picture, trimap, **given) as again:
        assert np.array_equal(again.trimap(), killed.trimap()) and again.steps() == (1, 1)
        again.undo()
        assert np.array_equal(again.trimap(), cv2.imread(str(trimap), 0))
    killed.close()


def test_a_session_goes_on_where_its_own_trimap_was_saved_over_the_first(model, tmp_path):
    picture, trimap = files(tmp_path)
    first = cv2.imread(str(trimap), 0)
    given = {"options": OPTIONS, "network": model, "journal": tmp_path / "journal"}
    with hdmatt.Session(picture, trimap, **given) as one:
        one.paint(BLOB)
        one.save_trimap(trimap)
        one.paint(Stroke("fill", 255, ((2.0, 2.0, 0.0),)))
        painted = one.trimap()
    with hdmatt.Session(picture, trimap, **given) as again:
        assert np.array_equal(again.trimap(), painted) and again.steps() == (2, 0)
        again.undo()
        again.undo()
        assert np.array_equal(again.trimap(), first)


def test_a_session_goes_on_with_a_changed_picture_only_if_it_is_told_to(model, tmp_path):
    picture, _ = files(tmp_path)
    given = {"options": OPTIONS, "network": model, "journal": tmp_path / "journal"}
    with hdmatt.Session(picture, **given) as one:
        one.paint(BLOB)
        painted = one.trimap()
    os.utime(picture, (1, 1))
    with pytest.raises(InputError, match="picture differ"):
        hdmatt.Session(picture, **given)
    with hdmatt.Session(picture, keep_strokes=True, **given) as again:
        assert np.array_equal(again.trimap(), painted)


@pytest.mark.release
def test_colours_of_a_box_are_those_of_a_picture_of_it(model):
    with session(model) as open_session:
        list(open_session.update())
        box = Box(20, 20, 80, 90)
        assert np.array_equal(open_session.picture(box), scene()[0][20:80, 20:90] / np.float32(255))
        red = open_session.composite((1, 0, 0), box)
        alpha = open_session.alpha(box)
        expected = alpha[..., None] * open_session.foreground(box) + (1 - alpha[..., None]) * np.float32([1, 0, 0])
        np.testing.assert_allclose(red, expected, rtol=0, atol=1e-6)  # one rounding


def test_what_a_session_cannot_use_is_refused(model):
    with pytest.raises(InputError, match="trimap is 100x109"):
        session(model, trimap=scene()[1][:-1])
    with session(model) as open_session:
        with pytest.raises(InputError, match="no box"):
            open_session.alpha(Box(0, 0, 111, 10))
        with pytest.raises(InputError, match="outside of the picture"):
            open_session.paint(Stroke("fill", 0, ((-1.0, 0.0, 0.0),)))
        with pytest.raises(InputError, match="is an array"):
            open_session.export(hdmatt.Outputs("alpha.png"))
        with pytest.raises(InputError, match="level is 9"):
            open_session.trimap(level=9)
        with pytest.raises(InputError, match=r"shape \(2,\)"):
            open_session.composite((1, 0))
    with pytest.raises(InputError, match="no layer 'beauty'"):
        session(model, input_options=hdmatt.InputOptions(layer="beauty"))
