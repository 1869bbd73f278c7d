import numpy as np
import pytest
import torch

from hdmatt.patches.stitch import blending_weight
from hdmatt.training import losses
from hdmatt.training.config import LossWeights


def maps(seed=0, batch=2, channels=1, side=16):
    return torch.rand(batch, channels, side, side, generator=torch.Generator().manual_seed(seed))


def test_alpha_loss_is_the_weighted_mean_of_absolute_differences():
    alpha, truth, weight = maps(0), maps(1), maps(2)
    expected = np.mean([float((weight[b] * (alpha[b] - truth[b]).abs()).sum() / weight[b].sum()) for b in range(2)])
    # 1e-6: the root of diff^2 + 1e-12 adds at most 1e-6
    np.testing.assert_allclose(float(losses.alpha_loss(alpha, truth, weight)), expected, atol=1e-6)


def test_composition_loss_compares_the_composites():
    alpha, truth, weight = maps(0), maps(1), torch.ones(2, 1, 16, 16)
    front, back = maps(2, channels=3), maps(3, channels=3)
    wanted, got = (a * front + (1 - a) * back for a in (truth, alpha))
    expected = (wanted - got).square().sum(1).sqrt().mean()
    np.testing.assert_allclose(
        float(losses.composition_loss(alpha, truth, front, back, weight)), float(expected), atol=2e-6
    )


def test_every_loss_is_zero_for_the_truth_and_ignores_what_weighs_nothing():
    truth, front, back = maps(1), maps(2, channels=3), maps(3, channels=3)
    weight = torch.zeros(2, 1, 16, 16)
    weight[:, :, 4:12, 4:12] = 1
    parts = LossWeights(alpha=1.0, composition=1.0, gradient=1.0, laplacian=1.0)
    loss, values = losses.total(truth, truth, front, back, weight, parts=parts)
    assert float(loss) < 1e-5  # four roots of 1e-12 and rounding
    assert set(values) == {"alpha", "composition", "laplacian", "gradient"}
    changed = truth.clone()
    changed[:, :, 0, 0] = 1 - changed[:, :, 0, 0]
    assert float(losses.alpha_loss(changed, truth, weight)) < 1e-5


def test_a_patch_without_unknown_pixels_costs_nothing_and_does_not_dilute_the_others():
    alpha, truth, weight = maps(0), maps(1), torch.ones(2, 1, 16, 16)
    alone = losses.alpha_loss(alpha[:1], truth[:1], weight[:1])
    weight[1] = 0
    torch.testing.assert_close(losses.alpha_loss(alpha, truth, weight), alone)
    assert float(losses.alpha_loss(alpha, truth, 0 * weight)) == 0


def test_the_total_is_the_sum_of_the_named_parts_times_their_weights():
    given = maps(0), maps(1), maps(2, channels=3), maps(3, channels=3), maps(4)
    weights = LossWeights(alpha=0.5, composition=3.0, laplacian=0.0, gradient=0.25)
    loss, parts = losses.total(*given, parts=weights)
    assert set(parts) == {"alpha", "composition", "gradient"}
    assert float(loss) == pytest.approx(sum(getattr(weights, name) * float(part) for name, part in parts.items()))
    assert float(parts["alpha"]) == pytest.approx(float(losses.alpha_loss(given[0], given[1], given[4])))


def test_a_level_of_the_laplacian_pyramid_counts_twice_as_much_as_the_finer_one():
    given = maps(0), maps(1), maps(2)
    one, two = (float(losses.laplacian_loss(*given, levels=levels)) for levels in (1, 2))
    halved = [torch.nn.functional.avg_pool2d(map_, 2) for map_ in given]
    assert two - one == pytest.approx(2 * float(losses.laplacian_loss(*halved, levels=1)), rel=1e-5)


def test_laplacian_loss_sees_detail_and_gradient_loss_ignores_a_constant():
    truth, weight = torch.zeros(1, 1, 16, 16), torch.ones(1, 1, 16, 16)
    assert float(losses.gradient_loss(truth + 0.3, truth, weight)) == 0
    checker = (torch.arange(16)[:, None] + torch.arange(16)) % 2 * 0.3
    assert float(losses.gradient_loss(truth + checker, truth, weight)) > 0.5
    assert float(losses.laplacian_loss(truth + checker, truth, weight)) > 0.1


def test_a_foreground_weight_lets_the_likelier_answer_be_foreground_at_odds_of_three_to_two():
    weight = torch.ones(1, 1, 1, 20)
    truth = (torch.arange(20) < 9).float().reshape(1, 1, 1, 20)  # 45 % of the pixels that look the same are foreground

    def loss(alpha, foreground_weight):
        seen = losses.weighted_error(torch.full_like(truth, alpha), truth, foreground_weight)
        return float(losses.alpha_loss(seen, truth, weight))

    # 1e-6: the root of diff^2 + 1e-12 adds at most 1e-6
    np.testing.assert_allclose([loss(0.0, 1.0), loss(1.0, 1.0)], [0.45, 0.55], atol=1e-6)
    np.testing.assert_allclose([loss(0.0, 1.2), loss(1.0, 1.2)], [0.45 * 1.2, 0.55 * 0.8], atol=1e-6)
    np.testing.assert_allclose([loss(0.0, 0.8), loss(1.0, 0.8)], [0.45 * 0.8, 0.55 * 1.2], atol=1e-6)


def test_weighted_errors_weigh_composites_alike_and_are_uneven_at_the_edges_of_the_truth():
    truth, weight, half = torch.zeros(1, 1, 16, 16), torch.ones(1, 1, 16, 16), torch.full((1, 3, 16, 16), 0.5)
    truth[..., 8:] = 1
    alpha = losses.weighted_error(truth - 0.1, truth, 1.2)
    composed = losses.composition_loss(alpha, truth, half, torch.zeros(1, 3, 16, 16), weight)
    assert float(composed) == pytest.approx(0.5 * 3**0.5 * (0.1 * 1.2 + 0.1 * 0.8) / 2, abs=1e-6)
    assert float(losses.gradient_loss(alpha, truth, weight)) == pytest.approx((0.12 - 0.08) / 15, abs=1e-6)
    assert float(losses.gradient_loss(truth - 0.1, truth, weight)) == pytest.approx(0, abs=1e-6)


def test_coarse_loss_is_weighted_by_the_averaged_truth():
    truth, weight = torch.zeros(1, 1, 8, 16), torch.ones(1, 1, 8, 16)
    truth[..., :6] = 1  # the first cell's mean is 0.75, the second's 0
    coarse = torch.tensor([[[[0.25, 0.5]]]])
    expected = (0.5 * (1 + 0.4 * 0.5) + 0.5 * (1 - 0.4)) / 2
    assert float(losses.coarse_loss(coarse, truth, weight, foreground_weight=1.4)) == pytest.approx(expected)


@pytest.mark.parametrize("blend", ["paper", "smooth"])
def test_the_pixel_weight_is_the_blending_weight_on_unknown_pixels(blend):
    trimap = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    trimap[..., 2:6] = 128
    trimap[..., 6:] = 255
    blending = blending_weight(8, 3, blend=blend)
    weight = losses.pixel_weight(trimap, torch.from_numpy(blending))
    np.testing.assert_array_equal(weight[0, 0, :, 2:6], blending[:, 2:6])
    assert not weight[..., :2].any() and not weight[..., 6:].any()


def test_coarse_loss_compares_the_averaged_truth_where_pixels_count():
    truth, weight = torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)
    truth[..., :8, :4] = 1  # the first cell's mean is 0.5
    weight[..., :8, :8] = 1  # only the first cell counts, and half of the second
    weight[..., :8, 8:12] = 1
    coarse = torch.tensor([[[[0.75, 0.25], [0.9, 0.9]]]])
    assert float(losses.coarse_loss(coarse, truth, weight)) == pytest.approx((0.25 + 0.25 / 2) / 1.5)
