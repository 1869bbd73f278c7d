"""Float32 stays float32 while we compute, and the process has its own switches when we do not."""

import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from small_network import network, scene

from hdmatt.inference.options import Options
from hdmatt.inference.strategies import matte_rows
from hdmatt.pictures.reader import ArrayReader
from hdmatt.pictures.trimap import open_trimap
from hdmatt.runtimes.float32 import exact_float32

OPTIONS = Options(patch=64, overlap=16, memory=2**32)


def switches():
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32, torch.get_float32_matmul_precision()


EXACT = False, False, "highest"


@pytest.fixture(params=["highest", "high", "medium"])
def chosen(request):
    """What a program may have chosen; by itself torch has TF32 in convolutions."""
    torch.set_float32_matmul_precision(request.param)
    yield switches()
    torch.set_float32_matmul_precision("highest")


def test_inside_nothing_is_rounded_and_afterwards_the_programs_choice_is_back(chosen):
    assert chosen[0]
    with exact_float32():
        assert switches() == EXACT
    assert switches() == chosen
    with pytest.raises(KeyError), exact_float32():
        raise KeyError
    assert switches() == chosen


def test_two_threads_that_overlap_do_not_switch_each_other_back(chosen):
    first_in, second_in, first_out = (threading.Event() for _ in range(3))
    seen = []

    def first():
        with exact_float32():
            first_in.set()
            assert second_in.wait(20)
        first_out.set()

    thread = threading.Thread(target=first)
    thread.start()
    assert first_in.wait(20)
    with exact_float32():
        second_in.set()
        assert first_out.wait(20)
        seen.append(switches())  # the first block has ended, this one has not
    thread.join()
    assert seen == [EXACT] and switches() == chosen


@pytest.mark.parametrize("strategy", ["hdmatt", "tiles"])
def test_between_two_bands_of_rows_and_after_a_run_that_nobody_finishes_the_choice_is_the_programs(chosen, strategy):
    picture = np.random.default_rng(0).integers(0, 255, (600, 64, 3), np.uint8)
    trimap = np.zeros((600, 64), np.uint8)
    trimap[::60], trimap[1::60] = 128, 255
    job = matte_rows(strategy, ArrayReader(picture), open_trimap(trimap), network(), OPTIONS)
    next(job.rows)
    assert switches() == chosen
    job.rows.close()
    assert switches() == chosen


@pytest.mark.release
def test_a_program_that_uses_torchs_new_switches_gets_them_back():
    """In a process of its own, for a new switch makes the old ones unreadable."""
    script = """
import torch
from hdmatt.runtimes.float32 import exact_float32
b = torch.backends
def switches():
    return [x.fp32_precision for x in (b.cudnn.conv, b.cudnn.rnn, b.cuda.matmul, b.mkldnn.conv, b.mkldnn.matmul, b)]
for choose in (lambda: setattr(b, "fp32_precision", "tf32"), lambda: setattr(b.cudnn.conv, "fp32_precision", "ieee"),
               lambda: setattr(b.mkldnn, "fp32_precision", "bf16")):
    choose()
    before = switches()
    with exact_float32():
        assert {switches()[i] for i in (0, 2, 3, 4)} == {"ieee"}, switches()
    assert switches() == before, (before, switches())
print("fine")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "fine\n", done.stderr


def test_a_network_computes_with_nothing_rounded(chosen, monkeypatch):
    model, seen = network(), []

    def decode(*arguments):
        seen.append(switches())
        return type(model).decode(model, *arguments)

    monkeypatch.setattr(model, "decode", decode)
    picture, trimap = scene()
    list(matte_rows("hdmatt", ArrayReader(picture), open_trimap(trimap), model, OPTIONS).rows)
    assert set(seen) == {EXACT}
