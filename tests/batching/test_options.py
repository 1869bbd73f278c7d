"""What cannot be an option of a batch is refused by its name."""

import numpy as np
import pytest

from hdmatt.batching.options import BatchOptions
from hdmatt.errors import InputError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("workers", value) for value in ("2", 0, 1.0, True)),
        *(("threads", "4"), ("max_failures", -1), ("max_failures", [1])),
        *(("listed", "no"), ("sequence", 1), ("skip_unmatched", None), ("overwrite", "yes")),
        *(("trimaps", 3), ("masks", ["a"]), ("manifest", b"a.csv"), ("root", True), ("ledger", 1.5)),
        *(("frames", 1001), ("shard", (1, 4)), ("ray", True), ("band", None), ("band", True), ("redo", ["all"])),
    ],
)
def test_an_option_of_a_batch_of_another_type_is_refused_by_name(name, value):
    with pytest.raises(InputError, match=f"{name} is ") as caught:
        BatchOptions(**{name: value})
    assert caught.value.hint


def test_numpys_numbers_are_taken_and_urls_stay_as_they_are():
    options = BatchOptions(workers=np.int64(2), listed=np.True_, trimaps="s3://bucket/trimaps")
    assert (options.workers, options.listed, options.trimaps) == (2, True, "s3://bucket/trimaps")
    assert type(options.workers) is int and type(options.listed) is bool
