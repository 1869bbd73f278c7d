"""Options that cannot work are refused where they are made, with the value and what would do."""

import pickle
from dataclasses import replace

import pytest

from hdmatt.errors import InputError
from hdmatt.inference.options import NetworkChoice, Options, RunOptions


@pytest.mark.parametrize(
    ("bad", "message", "hint"),
    [
        ({"patch": 60}, "a patch of 60 pixels", "multiple of 8, 64 or more"),
        ({"patch": 32}, "a patch of 32 pixels", "trained on 320"),
        ({"patch": 64, "overlap": 40}, "an overlap of 40 pixels", "32"),
        ({"topk": -1}, "topk is -1", "Give 0 or more."),
        ({"candidates": 0}, "candidates is 0", "Give 1 or more."),
        ({"batch": 0}, "batch is 0", "Give 1 or more."),
        ({"memory": 0}, "memory is 0", "Give 1 or more."),
        ({"memory": "lots"}, "'lots' is not an amount of memory", "2GiB"),
        ({"windows": "most"}, "windows is 'most'", "Choose one of: fewest, grid."),
        ({"blend": "hard"}, "blend is 'hard'", "Choose one of: smooth, paper."),
    ],
)
def test_options_that_cannot_work_are_refused_with_what_would(bad, message, hint):
    with pytest.raises(InputError) as caught:
        Options(**bad)
    assert message in caught.value.message and hint in caught.value.hint


@pytest.mark.parametrize(
    ("bad", "message", "hint"),
    [
        ({"runtime": "fast"}, "runtime is 'fast'", "auto, torch, folded"),
        ({"precision": "fp16"}, "precision is 'fp16'", "auto, fp32, bf16"),
    ],
)
def test_a_choice_that_does_not_exist_is_refused(bad, message, hint):
    with pytest.raises(InputError) as caught:
        NetworkChoice(**bad)
    assert message in caught.value.message and hint in caught.value.hint


def test_memory_may_be_text_and_is_kept_as_bytes():
    assert Options(memory="1.5GiB").memory == Options(memory=3 * 2**29).memory == 3 * 2**29
    assert Options(memory="2GB") == Options(memory=2 * 10**9)


def test_a_run_adds_to_the_options_and_changes_none():
    options = Options(patch=64, overlap=16, memory="1GiB", blend="paper")
    run = RunOptions.of(options, device="cpu,cpu", reserved_bytes=7)
    assert {name: getattr(run, name) for name in vars(options)} == vars(options)
    assert (run.device, run.reserved_bytes) == ("cpu,cpu", 7)
    with pytest.raises(InputError, match="topk is -1"):
        replace(run, topk=-1)
    assert RunOptions.of(run) == run and RunOptions.of(run, reserved_bytes=8) == replace(run, reserved_bytes=8)


def test_options_and_choices_can_be_compared_hashed_and_sent_to_other_processes():
    for one in (Options(memory="1GiB"), NetworkChoice("a", device="cpu")):
        assert pickle.loads(pickle.dumps(one)) == one and hash(one) == hash(replace(one))
