"""Time left, from the sizes of the pictures and the seconds that finished ones took. Opens no file.

Forecast    seconds = start + rate x megapixels, learnt from the pictures that are done
"""

from collections.abc import Iterable, Sequence

from hdmatt.batching.division import Division
from hdmatt.batching.ledger import LedgerRow
from hdmatt.batching.sizes import Size

START_SECONDS, SECONDS_PER_MEGAPIXEL = 1.0, 6.0  # before anything is known: two slow cores
PRIOR = 0.25  # weight of that beside one picture


class Forecast:
    """Expected seconds of pictures by their size, also learnt from the seconds of earlier runs.

    Args:
        rows: Of the ledger.
    """

    def __init__(self, rows: Iterable[LedgerRow] = ()) -> None:
        # sums of weighted least squares; the prior counts as parts of pictures of 1 and of 10 megapixels
        self._n = self._x = self._xx = self._y = self._xy = 0.0
        for megapixels in (1.0, 10.0):
            self._add(megapixels, START_SECONDS + SECONDS_PER_MEGAPIXEL * megapixels, PRIOR)
        self.measured = False
        for row in rows:
            if row.state == "done" and row.megapixels:
                self.learn(row.megapixels + row.smaller, row.seconds)

    def learn(self, megapixels: float, seconds: float) -> None:
        """A picture with so much to matte (see `Size.matted`) took so long."""
        self._add(megapixels, seconds, 1.0)
        self.measured = True

    def run_seconds(self, sizes: Sequence[Size], division: Division) -> float:
        """Expected seconds of all these pictures, several at once: never less than the largest takes."""
        each = [self.seconds(size.matted) for size in sizes]
        beside = (division.beside(size.megapixels) for size in sizes)
        return max(sum(one / number for one, number in zip(each, beside, strict=True)), max(each, default=0.0))

    def seconds(self, megapixels: float) -> float:
        """Expected seconds of a picture with so much to matte, never below 0."""
        spread = self._n * self._xx - self._x**2
        rate = max(0.0, (self._n * self._xy - self._x * self._y) / spread)
        return max(0.0, (self._y - rate * self._x) / self._n + rate * megapixels)

    def _add(self, x: float, y: float, weight: float) -> None:
        self._n += weight
        self._x += weight * x
        self._xx += weight * x * x
        self._y += weight * y
        self._xy += weight * x * y
