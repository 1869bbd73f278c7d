"""How many made-up inputs a test of a property sees: few in `make check`, ten times as many in `make check-all`."""

import os

from hypothesis import settings

TIMES = int(os.environ.get("HDMATT_EXAMPLES", "1"))


def examples(number: int) -> settings:
    """The same ones every time, so that a failure is there again."""
    return settings(deadline=None, derandomize=True, max_examples=TIMES * number)
