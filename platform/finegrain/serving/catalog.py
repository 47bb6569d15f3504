"""The caption lookup: which categories are served, and what their parts look like."""

import time
from collections.abc import Callable
from pathlib import Path

from finegrain.captions import Caption, CaptionStore
from finegrain.errors import ConfigError
from finegrain.tracking import Champion, Registry


class Catalog:
    """Champions of the registry with their captions; asks the registry every `poll_seconds`.

    A registry that is away leaves what was known.
    """

    def __init__(
        self,
        registry: Registry,
        captions: Path | None,
        poll_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._captions = CaptionStore(captions)
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._champions: dict[str, Champion] = {}
        self._asked = -float("inf")

    def champions(self) -> dict[str, Champion]:
        """By DATASET/CATEGORY."""
        if self._clock() - self._asked >= self._poll_seconds:
            try:
                self._champions = self._registry.champions()
            except Exception:
                if not self._champions:
                    raise
            self._asked = self._clock()
        return self._champions

    def caption(self, dataset: str, category: str) -> Caption | None:
        """None where there is none: not every detector needs one."""
        try:
            return self._captions.get(dataset, category)
        except ConfigError:
            return None
