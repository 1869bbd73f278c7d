"""What preset wide-unknown adds to a training: pieces of a batch, faulty channels, contexts that show the whole."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_training import SHORT, make_pack, start, train

from hdmatt.errors import InputError
from hdmatt.network.checkpoint import read_model
from hdmatt.network.extra_channels import BLURRED, GOOD, MISSING, SWAPPED, spoilt
from hdmatt.training.config import LossWeights, check_config
from hdmatt.training.step import extra_channel_faults, group_contexts

WIDE = replace(
    SHORT,
    model=replace(SHORT.model, extra_channels=True, normed=True, coarse=True),
    sample=replace(SHORT.sample, whole_picture=True, group=3, canonical=2.2, attached=0.5, scales=(1.0,)),
    groups=4,
    topk=2,
    steps=2,
    norm="frozen",
    extra_channel_faults=(0.3, 0.2, 0.0),
    losses=LossWeights(laplacian=0.2, probes=0.1),
)


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return make_pack(tmp_path_factory.mktemp("data") / "pack")


@pytest.mark.release
def test_a_batch_in_pieces_is_the_same_step(pack, tmp_path):
    init = start(WIDE, tmp_path)
    whole, parts = (
        read_model(train(replace(WIDE, pieces=n), [pack], tmp_path / str(n), init=init)).state_dict() for n in (1, 4)
    )
    assert any((whole[name] != start_of).any() for name, start_of in read_model(init).state_dict().items())
    for name in whole:
        # 2e-5 of weights of about 0.1: gradients are added in another order, and Adam divides small ones by themselves
        np.testing.assert_allclose(whole[name].numpy(), parts[name].numpy(), rtol=0, atol=1e-4, err_msg=name)


def test_pieces_must_share_the_groups():
    with pytest.raises(InputError, match="cannot share in 3 pieces"):
        check_config(replace(WIDE, pieces=3))
    with pytest.raises(InputError, match="together more than 1"):
        check_config(replace(WIDE, extra_channel_faults=(0.5, 0.5, 0.5)))
    with pytest.raises(InputError, match="only one group has the composite"):
        check_config(replace(WIDE, steps_per_composite=2))


def test_extra_channels_are_missing_blurred_or_of_another_patch():
    channels = torch.rand(4, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    made = spoilt(channels, torch.tensor([GOOD, MISSING, BLURRED, SWAPPED]))
    assert torch.equal(made[0], channels[0]) and not made[1].any() and torch.equal(made[3], channels[1])
    assert 0 < made[2].std() < channels[2].std() / 4 and made[2].mean() == pytest.approx(
        float(channels[2].mean()), abs=0.03
    )
    assert spoilt(channels, torch.zeros(4, dtype=torch.int64)) is channels


def test_extra_channels_are_spoilt_as_often_as_they_should_be_and_for_whole_groups():
    config = replace(WIDE, extra_channel_faults=(0.2, 0.1, 0.3))
    kinds = extra_channel_faults(config, 2000, seed=(1, 2))
    groups = kinds.reshape(-1, 3)
    assert (groups == groups[:, :1]).all()
    shares = [float((kinds == kind).float().mean()) for kind in range(4)]
    np.testing.assert_allclose(shares, [0.4, 0.2, 0.1, 0.3], atol=0.04)  # four deviations of 2000 draws
    assert torch.equal(extra_channel_faults(config, 5, seed=(1, 2), first=3), kinds[9:24])
    assert extra_channel_faults(replace(config, extra_channel_faults=(0, 0, 0)), 5, seed=(1, 2)) is None


def test_the_whole_picture_is_a_context_of_every_other_patch():
    contexts = group_contexts(20, 4, topk=2, seed=(0,), whole_picture=True)
    for own, chosen in enumerate(contexts):
        last = own // 4 * 4 + 3
        assert len(set(chosen)) == 2 and own not in chosen and {i // 4 for i in chosen} == {own // 4}
        assert own == last or chosen[0] == last
    plain = group_contexts(20, 4, topk=3, seed=(0,))
    assert [set(one) for one in plain] == [
        set(one) for one in group_contexts(20, 4, topk=3, seed=(0,), whole_picture=True)
    ]
