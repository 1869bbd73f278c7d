import numpy as np
import pytest

from hdmatt.errors import InputError
from hdmatt.system.values import checked_path, kind_of, switch, whole_number, word


def test_ints_of_python_and_numpy_are_whole_numbers():
    assert whole_number("topk", np.int64(3), 0) == whole_number("topk", 3) == 3
    assert type(whole_number("topk", np.uint8(3))) is int


@pytest.mark.parametrize("value", ["3", 3.0, True, None, np.float32(3), np.arange(3), [3], -1])
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(InputError, match="topk is ") as caught:
        whole_number("topk", value, 0)
    assert caught.value.hint.startswith("Give 0 or more")


def test_only_true_and_false_are_switches():
    assert switch("clean", np.True_) is True and switch("clean", False) is False
    for value in ("no", 1, 0, None, np.array([True, False])):
        with pytest.raises(InputError, match="clean is "):
            switch("clean", value)


def test_words_and_paths_are_told_from_other_things(tmp_path):
    assert (
        word("device", "cpu") == "cpu"
        and checked_path("alpha", str(tmp_path)) == checked_path("alpha", tmp_path) == tmp_path
    )
    with pytest.raises(InputError, match="device is 3"):
        word("device", 3)
    with pytest.raises(InputError, match="alpha is a bytes, we need a path"):
        checked_path("alpha", b"a.png")


def test_types_are_named_as_people_say_them():
    assert [kind_of(v) for v in (None, 3, "a", np.zeros(1))] == ["None", "an int", "a str", "a numpy.ndarray"]
