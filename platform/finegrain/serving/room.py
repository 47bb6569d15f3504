"""How much may be in flight: images, and their pixels."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from finegrain.serving.config import ServingConfig
from finegrain.serving.messages import Refusal, ServiceError


class Room:
    """Counts what is scored or waits for it.

    Args:
        config: with the limits.
        tell: how many images are in flight now.
    """

    def __init__(self, config: ServingConfig, tell: Callable[[int], None]) -> None:
        self._config, self._tell = config, tell
        self._images = self._pixels = 0
        self._seconds_per_image = 0.1  # a running mean, for Retry-After

    def check(self, images: int, pixels: int = 0) -> None:
        """ServiceError 429 where so much more would be too much.

        A request above a limit is taken when nothing else is there.
        """
        if not self._images:
            return
        most, most_pixels = self._config.max_in_flight, self._config.max_pixels_in_flight
        if self._images + images > most:
            why = f"{self._images} images are scored or wait; {most} may (max_in_flight)"
            raise self.busy(why)
        if self._pixels + pixels > most_pixels:
            raise self.busy(
                f"images of {self._pixels:,} pixels are scored or wait; "
                f"{most_pixels:,} may (max_pixels_in_flight)"
            )

    @contextmanager
    def taken(self, images: int, pixels: int) -> Iterator[None]:
        """Room for a request; errors as for `check`."""
        self.check(images, pixels)
        self._add(images, pixels)
        try:
            yield
        finally:
            self._add(-images, -pixels)

    def busy(self, why: str) -> ServiceError:
        """429, with a time after which another try makes sense."""
        wait = max(1, round(self._images * self._seconds_per_image))
        return ServiceError(Refusal(429, "overloaded", f"{why}. Try again in {wait} s"), wait)

    def note(self, seconds: float, images: int) -> None:
        """A request of so many images was answered after that time."""
        per_image = seconds / max(self._images + images, 1)
        self._seconds_per_image += 0.05 * (per_image - self._seconds_per_image)

    def _add(self, images: int, pixels: int) -> None:
        self._images += images
        self._pixels += pixels
        self._tell(self._images)
