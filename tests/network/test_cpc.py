import numpy as np
import pytest
import torch
from reference import slow_rank, slow_region_read

from hdmatt.network.attention import attend_biased, region_attention
from hdmatt.network.config import REGION_BACKGROUND, REGION_FOREGROUND, REGION_UNKNOWN, REGIONS
from hdmatt.network.cpc import CPC, Context, rank, select


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def module(kind="tgnl", form="strict", scaled=True):
    torch.manual_seed(0)
    return CPC(8, key=4, value=8, kind=kind, form=form, scaled=scaled).double().eval()


def some_contexts(cpc, number=3, seed=1):
    label = torch.randint(0, 3, (number, 5, 5), generator=torch.Generator().manual_seed(seed))
    return cpc.contexts(normal(number, 8, 5, 5, seed=seed), label)


@pytest.mark.parametrize("form", ["strict", "literal"])
@pytest.mark.parametrize("present", [(0, 1, 2), (0, 1), (2,), (1,), (0, 2)])
def test_region_attention_equals_a_slow_loop_also_for_empty_regions(form, present):
    query, key, value = normal(6, 4), normal(30, 4, seed=1), normal(30, 5, seed=2)
    label = torch.tensor([present[i % len(present)] for i in range(30)])
    reads = region_attention(query, key, value, label, form=form, scale=0.7)
    for region, read in zip(REGIONS, reads, strict=True):
        expected = [
            slow_region_read(q, key.numpy(), value.numpy(), label.tolist(), region, form=form, scale=0.7)
            for q in query.numpy()
        ]
        # 1e-12: float64, thirty terms
        np.testing.assert_allclose(read.numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("form", ["strict", "literal"])
@pytest.mark.parametrize("spread", [0.3, 60.0])
def test_a_cpu_that_only_infers_reads_what_training_reads_also_where_weights_underflow(form, spread):
    # spread 60: most weights lie below float32's smallest; 600 query pixels are three blocks of rows
    query, key, value = (normal(*shape, seed=3).float() for shape in ((600, 4), (90, 4), (90, 5)))
    label = torch.arange(90) % 3
    trained = region_attention(query, key, value, label, form=form, scale=spread)
    with torch.inference_mode():
        inferred = region_attention(query, key, value, label, form=form, scale=spread)
    for a, b in zip(trained, inferred, strict=True):
        # 2e-4: logits of up to 1000 in float32, of which the exponential keeps the absolute error
        torch.testing.assert_close(b, a, rtol=0, atol=2e-4 if spread > 1 else 1e-6)


def test_the_two_forms_differ_where_pixels_lie_outside_the_region():
    query, key, value = normal(6, 4), normal(30, 4, seed=1), normal(30, 5, seed=2)
    label = torch.arange(30) % 3
    strict = region_attention(query, key, value, label, form="strict", scale=1.0)
    literal = region_attention(query, key, value, label, form="literal", scale=1.0)
    assert all((a - b).abs().max() > 0.01 for a, b in zip(strict, literal, strict=True))


def test_ranking_by_means_orders_as_the_double_sum_of_eq_1():
    query, label = normal(20, 4), torch.randint(0, 3, (20,), generator=torch.Generator().manual_seed(3))
    candidates = [normal(12, 4, seed=10 + i) for i in range(7)]
    sums_of_query = query[label == REGION_UNKNOWN].sum(0)
    sums = torch.stack([c.sum(0) for c in candidates])
    expected = slow_rank(query.numpy(), label.tolist(), [c.numpy() for c in candidates])
    np.testing.assert_allclose(rank(sums_of_query, sums).numpy(), expected, rtol=1e-9)
    means = torch.stack([c.mean(0) for c in candidates])
    order = sorted(range(7), key=lambda i: -expected[i])
    assert select(query[label == REGION_UNKNOWN].mean(0), means, 7) == order
    assert select(query[label == REGION_UNKNOWN].mean(0), means, 3) == order[:3]


def test_a_patch_in_the_module_reads_what_the_slow_loop_reads():
    cpc = module()
    deep = normal(1, 8, 5, 5)
    label = torch.full((1, 5, 5), REGION_UNKNOWN)
    label[0, 0] = REGION_BACKGROUND
    contexts = some_contexts(cpc)
    key, own = cpc.theta(deep)[0].flatten(1).T, cpc.delta(deep)[0].flatten(1).T
    keys = torch.cat([c.key_LC for c in contexts]).detach().numpy()
    values = torch.cat([c.value_LV for c in contexts]).detach().numpy()
    labels = torch.cat([c.label_L for c in contexts]).tolist()
    expected = torch.zeros(24, 25, dtype=torch.float64)
    for s in range(5, 25):
        parts = [
            own[s].detach().numpy()
            + slow_region_read(key[s].detach().numpy(), keys, values, labels, r, form="strict", scale=4**-0.5)
            for r in REGIONS
        ]
        expected[:, s] = torch.from_numpy(np.concatenate(parts))
    fused = cpc.fuse(torch.cat([deep, expected.reshape(1, 24, 5, 5)], dim=1))
    torch.testing.assert_close(cpc(deep, label, [contexts]), fused, rtol=0, atol=1e-10)


def test_the_order_of_the_contexts_does_not_matter():
    cpc = module()
    deep, label = normal(1, 8, 5, 5), torch.full((1, 5, 5), REGION_UNKNOWN)
    contexts = some_contexts(cpc)
    # 1e-12: float64 sums in another order
    torch.testing.assert_close(cpc(deep, label, [contexts]), cpc(deep, label, [contexts[::-1]]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("form", ["strict", "literal"])
@pytest.mark.parametrize("kind", ["nonlocal", "tgnl"])
def test_without_context_every_region_gives_the_querys_own_value(kind, form):
    cpc = module(kind, form)
    deep, label = normal(1, 8, 5, 5), torch.full((1, 5, 5), REGION_UNKNOWN)
    own = cpc.delta(deep)
    alone = cpc.fuse(torch.cat([deep] + [own] * cpc.reads, dim=1))
    torch.testing.assert_close(cpc(deep, label, [[]]), alone, rtol=0, atol=1e-12)


def test_a_query_without_unknown_pixels_works():
    cpc = module()
    deep, label = normal(1, 8, 5, 5), torch.full((1, 5, 5), REGION_FOREGROUND)
    assert torch.isfinite(cpc(deep, label, [some_contexts(cpc)])).all()


def test_nothing_is_computed_for_pixels_outside_their_own_region(monkeypatch):
    pairs = []
    original = torch.nn.functional.scaled_dot_product_attention

    def counting(query, key, value, **options):
        pairs.append(query.shape[-2] * key.shape[-2])
        return original(query, key, value, **options)

    monkeypatch.setattr("hdmatt.network.cpc.F.scaled_dot_product_attention", counting)
    label = torch.arange(30) % 3
    region_attention(normal(6, 4), normal(30, 4), normal(30, 5), label, form="strict", scale=1.0)
    assert sum(pairs) == 6 * 30  # one attention over all pixels, not three


def test_scaled_false_is_the_papers_literal_logit():
    cpc = module(scaled=False)
    assert cpc.scale == 1.0
    assert module().scale == 0.5


def test_normed_keys_have_mean_0_and_variance_1_whatever_the_features_have_in_common():
    torch.manual_seed(0)
    cpc = CPC(8, key=4, value=8, kind="tgnl", form="strict", scaled=True, normed=True).double().train()
    deep, label = 5 + normal(2, 8, 5, 5).abs(), torch.full((2, 5, 5), REGION_UNKNOWN)
    keys = cpc.keys(deep)
    # 1e-3: the norm's epsilon beside the variance
    torch.testing.assert_close(keys.mean((0, 2, 3)), torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-9)
    torch.testing.assert_close(keys.var((0, 2, 3), correction=0), torch.ones(4, dtype=torch.float64), rtol=0, atol=1e-3)
    cpc.eval()
    context = cpc.contexts(deep, label)[1]
    torch.testing.assert_close(context.key_LC, cpc.keys(deep)[1].flatten(1).T)
    assert (cpc(deep, label, [[context], []]) - cpc(deep, label, [[], []]))[0].abs().max() > 1e-3


def test_a_summary_is_the_mean_key_of_the_unknown_pixels():
    cpc = module()
    deep = normal(2, 8, 5, 5)
    label = torch.full((2, 5, 5), REGION_FOREGROUND)
    label[0, 2, 3] = REGION_UNKNOWN
    summary = cpc.summaries(deep, label)
    expected = cpc.theta(deep)[0, :, 2, 3].float()
    torch.testing.assert_close(summary[0], expected, rtol=0, atol=1e-6)
    assert not summary[1].any()
    assert isinstance(some_contexts(cpc)[0], Context)


@pytest.mark.parametrize(("normed", "training"), [(False, True), (True, True), (True, False)])
def test_the_most_similar_candidates_are_those_of_eq_1(normed, training):
    """The double sum over unknown pixels of the query and all pixels of each candidate, one product at a time."""
    torch.manual_seed(1)
    cpc = CPC(8, key=6, value=4, kind="tgnl", form="literal", scaled=False, normed=normed).double().train(training)
    deep = normal(5, 8, 3, 4)
    label = torch.randint(0, 3, (5, 3, 4), generator=torch.Generator().manual_seed(2))
    candidates = [[1, 2, 3, 4], [0, 2, 4], [0], [4, 1, 0], []]
    before = {n: t.clone() for n, t in cpc.state_dict().items()}
    deep.requires_grad_()
    chosen = cpc.most_similar(deep, label, candidates, 2)
    assert all(torch.equal(t, before[n]) for n, t in cpc.state_dict().items())  # the norm has counted nothing
    with torch.no_grad():
        keys = cpc.keys(deep).flatten(2)
    for query, own in enumerate(candidates):
        scores = []
        for other in own:
            unknown = keys[query][:, (label[query] == REGION_UNKNOWN).flatten()]
            scores.append(float(sum(q @ c for q in unknown.T for c in keys[other].T)))
        slow = [own[i] for i in np.argsort(-np.array(scores), kind="stable")[:2]] if own else []
        assert chosen[query] == slow


@pytest.mark.parametrize(
    ("dtype", "scale", "pair"),  # numbers that are the same when they are rounded with the keys
    [(torch.bfloat16, 0.125, (67.23 / 8, 66.77 / 8)), (torch.float16, 1.0, (8.01164, 8.00398))],
)
def test_a_bias_that_travels_with_the_keys_is_not_rounded_with_them(dtype, scale, pair, monkeypatch):
    monkeypatch.setattr("hdmatt.network.attention._flash", lambda *_: True)
    bias = torch.tensor([[*pair, -torch.inf]])  # of keys that no query prefers; the last is not read
    value = torch.tensor([[[1.0], [0.0], [100.0]]])
    query, key = torch.zeros(1, 5, 8), torch.ones(1, 3, 8)
    read = attend_biased(query.to(dtype), key.to(dtype), value.to(dtype), bias, scale=scale)
    wanted = torch.softmax(torch.tensor(pair, dtype=torch.float64), 0)[0]
    assert read.dtype == dtype
    assert (read.double() - wanted).abs().max() <= torch.finfo(dtype).eps / 2
    assert abs(wanted - 0.5) > torch.finfo(dtype).eps  # what rounding them would give


@pytest.mark.parametrize("flash", [False, True])
@pytest.mark.parametrize(("kind", "form"), [("nonlocal", "strict"), ("tgnl", "strict"), ("tgnl", "literal")])
def test_all_queries_at_once_as_on_a_gpu_read_what_each_reads_alone(kind, form, flash, monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr("hdmatt.network.attention._flash", lambda *_: flash)
    module = CPC(8, key=4, value=6, kind=kind, form=form, scaled=True, normed=True).eval()
    deep = torch.randn(4, 8, 5, 5, requires_grad=True)
    label = torch.randint(0, 3, (4, 5, 5))
    label[1] = REGION_BACKGROUND  # a query without unknown pixels; as context, two regions without pixels
    label[2][label[2] == REGION_FOREGROUND] = REGION_UNKNOWN
    indices = [(1, 2), (0, 3), (1, 1), (2, 0)]
    contexts = module.contexts(deep, label)
    lists = [[contexts[i] for i in own] for own in indices]
    alone = module(deep, label, lists)
    among = module.among(deep, deep, label, indices)
    monkeypatch.setattr(CPC, "_at_once", lambda *_: True)
    monkeypatch.setattr(CPC, "_read", None)  # not taken
    together = module(deep, label, lists)
    picked = module.among(deep, deep, label, indices)
    wanted = torch.randn_like(alone)
    slope = torch.autograd.grad((alone * wanted).sum(), deep, retain_graph=True)[0]
    for other in (among, together, picked):
        torch.testing.assert_close(other, alone)
        own = torch.autograd.grad((other * wanted).sum(), deep, retain_graph=True)[0]
        torch.testing.assert_close(own, slope)
    held = module.among(deep, deep.detach(), label, indices)  # the contexts' part of the gradient is left out
    torch.testing.assert_close(held, alone)
    assert not torch.allclose(torch.autograd.grad((held * wanted).sum(), deep)[0], slope)
