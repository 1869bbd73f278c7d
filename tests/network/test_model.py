import numpy as np
import pytest
import torch

from hdmatt.errors import ModelError
from hdmatt.network.checkpoint import load_resnet34
from hdmatt.network.config import ModelConfig
from hdmatt.network.decoder import LINEAR_ALPHA, corrected, scattered, unpool
from hdmatt.network.inputs import labels, network_input
from hdmatt.network.model import HDMatt


def picture(batch=3, side=64, seed=0):
    rng = torch.Generator().manual_seed(seed)
    which = torch.randint(0, 3, (batch, side // 8, side // 8), generator=rng)
    cells = torch.tensor([0, 128, 255], dtype=torch.uint8)[which]
    trimap = cells.repeat_interleave(8, 1).repeat_interleave(8, 2)
    return network_input(torch.rand(batch, side, side, 3, generator=rng), trimap)


def network(**config):
    torch.manual_seed(0)
    return HDMatt(ModelConfig(**{"width": 8, **config}))


def resnet34_by_hand(width=64):
    """torchvision's ResNet-34 layout, written out: name -> tensor."""
    tensors = {"conv1.weight": torch.randn(width, 3, 7, 7)}

    def norm(name, channels):
        for part in ("weight", "bias", "running_mean", "running_var"):
            tensors[f"{name}.{part}"] = torch.rand(channels)

    norm("bn1", width)
    before = width
    for stage, (blocks, channels) in enumerate([(3, 1), (4, 2), (6, 4), (3, 8)], 1):
        for block in range(blocks):
            name, out = f"layer{stage}.{block}", channels * width
            tensors[f"{name}.conv1.weight"] = torch.randn(out, before, 3, 3) / 50
            tensors[f"{name}.conv2.weight"] = torch.randn(out, out, 3, 3) / 50
            norm(f"{name}.bn1", out)
            norm(f"{name}.bn2", out)
            if before != out:
                tensors[f"{name}.downsample.0.weight"] = torch.randn(out, before, 1, 1)
                norm(f"{name}.downsample.1", out)
            before = out
    tensors["fc.weight"] = torch.randn(1000, before)
    tensors["fc.bias"] = torch.randn(1000)
    return tensors


OURS = {"extra_channels": True, "normed": True, "coarse": True}


def test_without_surroundings_the_extra_channels_are_those_of_the_patch_alone():
    around = torch.rand(3, 8, 8, 82)
    alone, whole = (network(**OURS, surroundings=choice).eval().encoder.stem for choice in (False, True))
    inputs = picture()
    torch.testing.assert_close(alone(inputs, around).inputs, whole(inputs, None).inputs, rtol=0, atol=0)
    assert not torch.equal(whole(inputs, around).inputs, whole(inputs, None).inputs)


@pytest.mark.parametrize(
    "config", [{}, {"cpc": "none"}, {"cpc": "nonlocal"}, {"form": "literal"}, {"extra_channels": True}, OURS]
)
def test_every_parameter_gets_a_gradient(config):
    model = network(**config).train()
    for name, parameter in model.named_parameters():
        if name.endswith("bn2.weight"):
            torch.nn.init.ones_(parameter)  # 0 at the start in layer3 and layer4: nothing passes to the convolutions
    model(picture(), [[1, 2], [0, 2], [0, 1]]).alpha.mean().backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_the_deep_blocks_start_as_their_shortcuts():
    encoder = network().eval().encoder
    x = torch.randn(1, 16, 8, 8).relu()
    deep = encoder.layer3(x)
    torch.testing.assert_close(deep, encoder.layer3[0].downsample(x).relu())
    torch.testing.assert_close(encoder.layer4[1:](encoder.layer4[0](deep)), encoder.layer4[0].downsample(deep).relu())


def test_models_a_b_and_c_differ_only_in_the_context_module():
    rest = [
        {n: t for n, t in network(cpc=kind).state_dict().items() if not n.startswith("cpc.")}
        for kind in ("none", "nonlocal", "tgnl")
    ]
    for other in rest[1:]:
        assert set(other) == set(rest[0])
        assert all(torch.equal(t, other[n]) for n, t in rest[0].items())
    assert not [n for n in network(cpc="none").state_dict() if n.startswith("cpc.")]


def test_context_changes_models_b_and_c_but_not_a():
    for kind, changes in (("none", False), ("nonlocal", True), ("tgnl", True)):
        model = network(cpc=kind).eval()
        with torch.no_grad():
            alone, helped = model(picture(), [[], [], []]).alpha, model(picture(), [[1, 2], [0], [0]]).alpha
        assert bool((alone != helped).any()) is changes


def test_detached_contexts_pass_no_gradient_to_the_other_patch():
    for detach in (False, True):
        inputs = picture().requires_grad_()
        network().eval()(inputs, [[1], [], []], detach=detach).alpha[0].sum().backward()
        assert bool(inputs.grad[1].any()) is not detach
        assert inputs.grad[0].any()


def test_the_paper_size_has_about_thirty_million_parameters_and_the_small_one_a_quarter():
    large, small = (sum(p.numel() for p in HDMatt(ModelConfig(width=w)).parameters()) for w in (64, 32))
    assert 25e6 < large < 32e6
    assert 3.8 < large / small < 4.1


def test_output_has_the_input_size_and_lies_in_0_1():
    for side in (64, 72, 128):
        alpha = network().eval()(picture(2, side), [[1], []]).alpha
        assert alpha.shape == (2, 1, side, side)
        assert alpha.min() >= 0 and alpha.max() <= 1


def test_unpooling_puts_maxima_back_where_they_were():
    x = torch.randn(1, 2, 8, 8)
    pooled, index = torch.nn.functional.max_pool2d(x, 2, return_indices=True)
    back = unpool(pooled, index)
    assert (back[back != 0] == x[back != 0]).all()
    assert (back != 0).sum() == pooled.numel()


def test_labels_call_a_cell_unknown_when_one_pixel_is_and_else_take_the_majority():
    trimap = torch.zeros(1, 16, 16, dtype=torch.uint8)
    trimap[0, :8, :8] = 255
    trimap[0, 7, 7] = 0
    trimap[0, 12, 3] = 128
    label = labels(network_input(torch.rand(1, 16, 16, 3), trimap))
    assert label.tolist() == [[[2, 0], [1, 0]]]


def test_network_input_is_imagenet_normalised_rgb_and_one_hot():
    grey = torch.full((1, 8, 8, 3), 0.5)
    inputs = network_input(grey, torch.full((1, 8, 8), 255, dtype=torch.uint8))
    expected = [(0.5 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, (0.5 - 0.406) / 0.225]
    np.testing.assert_allclose(inputs[0, :3, 0, 0], expected, rtol=2e-6)  # float32 rounding
    assert inputs[0, 3:, 0, 0].tolist() == [0, 0, 1]


def test_imagenet_weights_in_torchvision_naming_load_and_the_trimap_starts_at_zero():
    weights = resnet34_by_hand()
    model = HDMatt(ModelConfig(width=64))
    load_resnet34(model, weights)
    state = model.encoder.state_dict()
    torch.testing.assert_close(state["conv1.weight"][:, :3], weights["conv1.weight"])
    assert not state["conv1.weight"][:, 3:].any()
    for name in weights:
        if not name.startswith(("conv1", "fc")):
            torch.testing.assert_close(state[name], weights[name])


def test_imagenet_weights_that_do_not_fit_are_refused_by_name():
    weights = resnet34_by_hand()
    with pytest.raises(ModelError, match=r"conv1\.weight of the ResNet-34 weights is \(64, 6, 7, 7\)"):
        load_resnet34(HDMatt(ModelConfig(width=32)), weights)
    del weights["layer3.2.conv1.weight"]
    with pytest.raises(ModelError, match=r"no tensor 'layer3\.2\.conv1\.weight'"):
        load_resnet34(HDMatt(ModelConfig(width=64)), weights)


def test_a_network_with_extra_channels_takes_the_same_six_channels_and_imagenet_weights():
    model = HDMatt(ModelConfig(width=64, extra_channels=True))
    load_resnet34(model, resnet34_by_hand())
    assert not model.encoder.conv1.weight[:, 3:].any()
    assert network(extra_channels=True).eval()(picture(2), [[1], []]).alpha.shape == (2, 1, 64, 64)


def test_the_coarse_alpha_starts_as_the_averaged_hint_and_its_correction_reaches_the_matte():
    model = network(**OURS).eval()
    inputs = picture(batch=2)
    with torch.no_grad():
        stem, _ = model.encoder(inputs)
        start = model(inputs, [[], []])
        hinted = torch.nn.functional.avg_pool2d(stem.inputs[:, LINEAR_ALPHA : LINEAR_ALPHA + 1], 8).clamp(0.02, 0.98)
        # 1e-6: logit and sigmoid in single precision
        torch.testing.assert_close(start.coarse, hinted, rtol=0, atol=1e-6)
        torch.nn.init.constant_(model.decoder.coarse.bias, 2.0)
        moved = model(inputs, [[], []])
    assert (moved.coarse > start.coarse).all()
    assert (moved.alpha - start.alpha).abs().max() > 1e-4
    torch.testing.assert_close(moved.at4, start.at4)


def test_a_correction_of_the_logit_leaves_a_sure_hint_correctable():
    inputs = torch.zeros(1, 19, 8, 16)
    inputs[:, LINEAR_ALPHA, :, 8:] = 1
    assert corrected(inputs, torch.zeros(1, 1, 1, 2)).flatten().tolist() == pytest.approx([0.02, 0.98], abs=1e-6)
    moved = corrected(inputs, torch.tensor([[[[8.0, -8.0]]]])).flatten().tolist()
    assert moved == pytest.approx([0.984, 0.016], abs=1e-3)


def test_a_coarse_network_without_extra_channels_is_refused():
    with pytest.raises(ModelError, match="needs `extra_channels`"):
        network(coarse=True)


def test_the_decoder_unpools_to_where_the_encoder_found_its_maxima():
    model = network().eval()
    stem, body = model.encoder(picture())
    given = {}
    for name in ("at4", "at2", "at1"):
        getattr(model.decoder, name).register_forward_pre_hook(lambda _, maps, name=name: given.update({name: maps[0]}))
    model.decoder(stem, body, body.deep)
    for name, pooled in (("at4", body.quarter), ("at2", stem.half), ("at1", stem.full)):
        unpooled, same = given[name][:2]
        assert same is pooled and unpooled.any()
        largest = torch.nn.functional.max_pool2d(pooled, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
        assert not unpooled[pooled != largest].any()


def test_unpooling_by_scattering_as_on_a_gpu_equals_unpooling():
    torch.manual_seed(0)
    picture = torch.randn(2, 3, 8, 12).contiguous(memory_format=torch.channels_last)
    pooled, indices = torch.nn.functional.max_pool2d(picture, 2, return_indices=True)
    ours, theirs = (f(pooled.requires_grad_(), indices) for f in (scattered, unpool))
    assert torch.equal(ours, theirs)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    wanted = torch.randn_like(ours)
    slopes = [torch.autograd.grad((x * wanted).sum(), pooled)[0] for x in (ours, theirs)]
    assert torch.equal(*slopes)
