import numpy as np
import torch

from hdmatt.network.extra_channels import EXTRA, extra_channels, local_linear, moments_of
from hdmatt.network.inputs import network_input
from hdmatt.overview.known_colours import KnownColoursBuilder

ALPHA, FIRST, APART, FAR_FRONT, FAR_BACK, CARRIED = 8, 9, 10, 11, 12, 13  # channels


def suggested(rgb, trimap, surroundings=None):
    return extra_channels(network_input(rgb[None], trimap[None]), surroundings)[0]


def ramp(front, back, side=64):
    """Truth from 0 to 1 along x, its composite, and a trimap that knows the first and the last eighth."""
    truth = torch.linspace(-1 / 6, 7 / 6, side).clamp(0, 1).expand(side, side)
    trimap = torch.full((side, side), 128, dtype=torch.uint8)
    trimap[:, : side // 8], trimap[:, -side // 8 :] = 0, 255
    return truth, truth[..., None] * front + (1 - truth[..., None]) * back, trimap


def test_exact_alpha_where_both_colours_are_flat():
    truth, rgb, trimap = ramp(torch.tensor([0.9, 0.2, 0.1]), torch.tensor([0.1, 0.3, 0.8]))
    found = suggested(rgb, trimap)
    assert found.shape == (EXTRA, 64, 64)
    torch.testing.assert_close(found[FIRST], truth, rtol=0, atol=0.002)  # SHRINK
    torch.testing.assert_close(found[ALPHA], truth, rtol=0, atol=0.02)  # NOISE in the fit


def test_brightness_that_varies_in_both_classes_does_not_count():
    """Red cloth before green cloth, both in light and shade: the projection on the means' difference errs by 0.3."""
    rng = torch.Generator().manual_seed(0)
    shade = 0.3 + 0.7 * torch.rand(64, 64, 1, generator=rng)
    front, back = shade * torch.tensor([0.9, 0.5, 0.4]), shade * torch.tensor([0.4, 0.5, 0.3])
    truth, rgb, trimap = ramp(front, back)
    unknown = trimap == 128
    found = suggested(rgb, trimap)
    between = torch.tensor([0.5, 0.0, 0.1]) * 0.65
    plain = ((rgb - torch.tensor([0.4, 0.5, 0.3]) * 0.65) @ between / (between @ between)).clamp(0, 1)
    assert (plain - truth).abs()[unknown].mean() > 0.2
    assert (found[FIRST] - truth).abs()[unknown].mean() < 0.06
    assert (found[ALPHA] - truth).abs()[unknown].mean() < 0.06


def test_distances_tell_the_classes_apart_and_grow_with_them():
    _, rgb, trimap = ramp(torch.tensor([0.9, 0.2, 0.1]), torch.tensor([0.1, 0.3, 0.8]))
    found = suggested(rgb, trimap)
    assert found[FAR_BACK, :, :8].max() < 0.05 < 1 < found[FAR_FRONT, :, :8].min()
    assert found[FAR_FRONT, :, -8:].max() < 0.05 < 1 < found[FAR_BACK, :, -8:].min()
    _, near, _ = ramp(torch.tensor([0.3, 0.2, 0.1]), torch.tensor([0.28, 0.2, 0.1]))
    assert suggested(near, trimap)[APART].max() < found[APART].min()


def test_a_patch_without_known_pixels_takes_the_colours_of_the_whole_picture():
    front, back = torch.tensor([0.9, 0.2, 0.1]), torch.tensor([0.1, 0.3, 0.8])
    truth, rgb, trimap = ramp(front, back, side=256)
    builder = KnownColoursBuilder(32, step=2)
    for y in range(0, 256, 32):
        builder.add(rgb[y : y + 32].numpy().astype(np.float32), trimap[y : y + 32].numpy())
    surroundings = torch.from_numpy(builder.build().surroundings(96, 96, size=64, patch=64))[None]
    middle = slice(96, 160)
    alone = suggested(rgb[middle, middle], trimap[middle, middle])
    found = suggested(rgb[middle, middle], trimap[middle, middle], surroundings)
    assert (alone[FIRST] - truth[middle, middle]).abs().mean() > 0.1
    assert (found[FIRST] - truth[middle, middle]).abs().max() < 0.01
    assert torch.equal(alone[CARRIED], alone[ALPHA])
    assert (found[CARRIED] - truth[middle, middle]).abs().max() < 0.02


def test_finite_where_a_region_is_missing_and_at_any_size():
    for value in (0, 128, 255):
        trimap = torch.full((17, 5), value, dtype=torch.uint8)
        assert torch.isfinite(suggested(torch.rand(17, 5, 3), trimap)).all()


def test_the_local_linear_model_keeps_what_is_linear_in_colour_and_removes_what_is_not():
    rng = torch.Generator().manual_seed(2)
    colours = torch.rand(1, 3, 64, 64, generator=rng)
    alpha = 0.2 + 0.3 * colours[:, :1] + 0.4 * colours[:, 2:]
    noisy = alpha + 0.1 * torch.randn(alpha.shape, generator=rng)
    moments, weight = moments_of(colours), torch.ones_like(alpha)
    torch.testing.assert_close(local_linear(moments, alpha, weight), alpha, rtol=0, atol=0.001)
    assert (local_linear(moments, noisy, weight) - alpha).abs().mean() < 0.02


def test_the_layout_of_the_input_does_not_matter_to_a_bit():
    trimap = torch.full((1, 48, 40), 128, dtype=torch.uint8)
    trimap[:, :5], trimap[:, -9:] = 0, 255
    inputs = network_input(torch.rand(1, 48, 40, 3, generator=torch.Generator().manual_seed(4)), trimap)
    planes = extra_channels(inputs.contiguous())
    assert torch.equal(extra_channels(inputs.contiguous(memory_format=torch.channels_last)), planes)


def test_patches_of_a_batch_do_not_touch_each_other():
    rgb = torch.rand(3, 40, 40, 3, generator=torch.Generator().manual_seed(3))
    trimap = torch.full((3, 40, 40), 128, dtype=torch.uint8)
    trimap[:, :5], trimap[:, -9:] = 0, 255
    together = extra_channels(network_input(rgb, trimap))
    for i in range(3):
        torch.testing.assert_close(suggested(rgb[i], trimap[i]), together[i], rtol=0, atol=1e-5)
