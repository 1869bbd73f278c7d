import numpy as np
import OpenImageIO as oiio
import pytest

from hdmatt.errors import OutputError
from hdmatt.image import ArrayReader, TrimapReader, open_picture
from hdmatt.propagation import smoothed
from hdmatt.refine import _Spool, refined


def job(height=90, width=101, seed=0):
    """Picture, trimap and a rough matte of an edge in the middle."""
    rng = np.random.default_rng(seed)
    truth = np.clip((np.arange(width) - width / 2) / 20 + 0.5, 0, 1) * np.ones((height, 1))
    picture = np.clip(255 * (truth[..., None] * [0.9, 0.2, 0.1] + (1 - truth[..., None]) * [0.1, 0.3, 0.8]), 0, 255)
    trimap = np.full((height, width), 128, np.uint8)
    trimap[:, :10], trimap[:, -10:] = 0, 255
    rough = np.clip(truth + 0.2 * rng.standard_normal(truth.shape), 0, 1)
    rough[trimap == 0], rough[trimap == 255] = 0, 1
    return picture.astype(np.uint8), trimap, rough.astype(np.float32), truth


def bands(alpha, sizes):
    y = 0
    for rows in sizes:
        yield y, alpha[y : y + rows]
        y += rows


def run(picture, trimap, alpha, *, sizes, step=1, band=32):
    rows = refined(bands(alpha, sizes), ArrayReader(picture), TrimapReader(ArrayReader(trimap)), step=step, band=band)
    found = list(rows)
    assert [y for y, _ in found] == list(np.cumsum([0, *(len(r) for _, r in found[:-1])]))
    return np.concatenate([r for _, r in found])


def test_rows_are_smoothed_as_the_whole_is():
    picture, trimap, rough, truth = job()
    found = run(picture, trimap, rough, sizes=[90])
    np.testing.assert_allclose(found, smoothed(picture / np.float32(255), trimap, rough), atol=1e-6)
    unknown = trimap == 128
    assert np.abs(found - truth)[unknown].mean() < 0.5 * np.abs(rough - truth)[unknown].mean()


@pytest.mark.parametrize("step", [1, 3])
def test_bands_do_not_matter(step):
    picture, trimap, rough, _ = job()
    one = run(picture, trimap, rough, sizes=[90], step=step, band=90)
    other = run(picture, trimap, rough, sizes=[7, 33, 50], step=step, band=16)
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_what_is_known_stays_and_squares_move_what_lies_between():
    picture, trimap, rough, _ = job()
    found = run(picture, trimap, rough, sizes=[90], step=4)
    assert (found[trimap == 0] == 0).all() and (found[trimap == 255] == 1).all()
    assert found.min() >= 0 and found.max() <= 1 and (found != rough)[trimap == 128].mean() > 0.4


def test_an_error_of_the_network_passes_through_and_its_rows_are_closed():
    closed = []

    def rows():
        try:
            yield 0, np.zeros((2, 5), np.float32)
            raise RuntimeError("network")
        finally:
            closed.append(True)

    trimap = np.full((4, 5), 128, np.uint8)
    with pytest.raises(RuntimeError, match="network"):
        picture = ArrayReader(np.zeros((4, 5, 3), np.uint8))
        list(refined(rows(), picture, TrimapReader(ArrayReader(trimap)), step=1, band=2))
    assert closed


def test_a_full_disk_is_named(monkeypatch):
    spool = _Spool(4)

    class Full:
        def write(self, _):
            raise OSError(28, "No space left on device")

        def close(self):
            pass

    spool.close()
    monkeypatch.setattr(spool, "_file", Full())
    with pytest.raises(OutputError, match="No space left on device") as caught:
        spool.write(np.full((1, 4), 0.5, np.float32))
    assert "TMPDIR" in caught.value.hint


@pytest.mark.parametrize("width", [1, 8, 13])
def test_the_spool_gives_back_what_it_was_given(width):
    rng = np.random.default_rng(0)
    rows = np.clip(2 * rng.random((9, width), np.float32) - 0.5, 0, 1)
    rows[0], rows[1], rows[2, 0] = 0, 1, np.float32(1e-30)
    spool = _Spool(width)
    spool.write(rows[:4])
    spool.write(rows[4:])
    for sizes in ([9], [1, 5, 3]):
        spool.rewind()
        assert np.concatenate([spool.read(n) for n in sizes]).tobytes() == rows.tobytes()
    spool.close()


def test_far_from_unknown_pixels_nothing_is_read():
    picture, trimap, rough, _ = job(height=400)
    trimap[:150], trimap[250:] = 0, 255
    rough[:150], rough[250:] = 0, 1

    class Counting(ArrayReader):
        rows_read = 0

        def rows(self, y0, y1):
            Counting.rows_read += y1 - y0
            return super().rows(y0, y1)

    noisy = picture.copy()  # what is not read cannot matter
    noisy[:100], noisy[300:] = 77, 99
    found = []
    for colours in (picture, noisy):
        reader = Counting(colours)
        rows = refined(bands(rough, [400]), reader, TrimapReader(ArrayReader(trimap)), step=1, band=20)
        found.append(np.concatenate([r for _, r in rows]))
    assert Counting.rows_read <= 2 * 180 and (found[0] != rough)[150:250].any()
    np.testing.assert_array_equal(*found)


def test_of_a_tiled_file_the_tiles_beside_unknown_pixels_are_read(tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (512, 512, 3), np.uint8)
    trimap = np.zeros((512, 512), np.uint8)
    trimap[250:270, 200:220], trimap[255:260, 205:210] = 128, 255
    rough = np.where(trimap == 128, np.float32(0.4), trimap / np.float32(255))
    output = oiio.ImageOutput.create(str(tmp_path / "tiled.tif"))
    spec = oiio.ImageSpec(512, 512, 3, "uint8")
    spec.tile_width = spec.tile_height = 32
    output.open(str(tmp_path / "tiled.tif"), spec)
    output.write_image(picture)
    output.close()
    with open_picture(tmp_path / "tiled.tif") as tiled:
        marks = TrimapReader(ArrayReader(trimap))
        found = np.concatenate([r for _, r in refined(bands(rough, [512]), tiled, marks, step=1, band=32)])
        assert 0 < tiled.decoded < 0.1 * trimap.size
    np.testing.assert_allclose(found, smoothed(picture / np.float32(255), trimap, rough), atol=1e-6)
