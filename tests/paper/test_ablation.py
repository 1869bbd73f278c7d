"""The ablation's rows start from what a network without context knows."""

import pytest
import torch

from hdmatt.network.cpc import CPC
from paper.ablation import start_as_shortcut


@pytest.mark.parametrize("kind", ["none", "nonlocal", "tgnl"])
def test_a_module_that_starts_as_a_shortcut_adds_nothing_until_it_has_learned(kind):
    torch.manual_seed(0)
    cpc = CPC(8, key=4, value=8, kind=kind, form="strict", scaled=True).eval()
    deep = torch.randn(2, 8, 5, 5).relu()
    label = torch.randint(0, 3, (2, 5, 5))

    def enriched():
        pool = cpc.contexts(deep, label) if kind != "none" else []
        return cpc(deep, label, [pool, pool])

    assert (kind == "none") == torch.equal(enriched(), deep)
    start_as_shortcut(cpc)
    torch.testing.assert_close(enriched(), deep, rtol=1e-5, atol=0)  # 1e-5 is the norm's epsilon
    if kind == "none":
        return
    enriched().sum().backward()
    torch.optim.SGD(cpc.parameters(), lr=0.1).step()
    first = cpc.phi.weight.grad
    cpc.zero_grad()
    enriched().sum().backward()
    assert not first.any() and cpc.phi.weight.grad.any()  # what is read counts from the second step on
