"""Time left, from the sizes of the pictures and the seconds that finished ones took. Opens no file.

Forecast    seconds = start + rate x megapixels, learnt from the pictures that are done
"""

START_SECONDS, SECONDS_PER_MEGAPIXEL = 1.0, 6.0  # before anything is known: two slow cores
PRIOR = 0.25  # weight of that beside one picture


class Forecast:
    """Expected seconds of pictures by their size, also learnt from the seconds of earlier runs."""

    def __init__(self) -> None:
        # sums of weighted least squares; the prior counts as parts of pictures of 1 and of 10 megapixels
        self._n = self._x = self._xx = self._y = self._xy = 0.0
        for megapixels in (1.0, 10.0):
            self._add(megapixels, START_SECONDS + SECONDS_PER_MEGAPIXEL * megapixels, PRIOR)

    def learn(self, megapixels: float, seconds: float) -> None:
        """A picture of this size took so long."""
        self._add(megapixels, seconds, 1.0)

    def seconds(self, megapixels: float) -> float:
        """Expected seconds of a picture of this size, never below 0."""
        spread = self._n * self._xx - self._x**2
        rate = max(0.0, (self._n * self._xy - self._x * self._y) / spread)
        return max(0.0, (self._y - rate * self._x) / self._n + rate * megapixels)

    def _add(self, x: float, y: float, weight: float) -> None:
        self._n += weight
        self._x += weight * x
        self._xx += weight * x * x
        self._y += weight * y
        self._xy += weight * x * y
