"""How many false alarms a part may raise: changed without a fit, and what that would do."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from finegrain.checkpoint import read_config
from finegrain.data.shots import Shot
from finegrain.decision import Thresholds, Verdict
from finegrain.errors import ConfigError, InputError
from finegrain.serving.champions import from_registry
from finegrain.serving.messages import Refusal, ServiceError
from finegrain.serving.service import ScoringService
from finegrain.tracking import Champion, PartRuns, Registry

MOST_FEEDBACK = 48  # the newest, which are scored again


@dataclass(frozen=True)
class Tipping:
    """An image of the feedback.

    Args:
        kind: what was said of it.
        false_alarms: of 100 good parts, from which number on it is rejected.
    """

    kind: Literal["good", "missed"]
    false_alarms: float


@dataclass(frozen=True)
class Sensitivity:
    """What is asked of a champion, and where the images of its feedback tip over."""

    version: str
    false_alarms: float
    feedback: tuple[Tipping, ...]


class Sensitivities:
    """Reads and changes them.

    Args:
        service: scores the feedback by today's champion.
        registry: keeps what was asked for, with the version.
        runs: have the feedback.
        refresh: makes a champion that was changed known here.
    """

    def __init__(
        self,
        service: ScoringService,
        registry: Registry,
        runs: PartRuns,
        refresh: Callable[[], Awaitable[object]],
    ) -> None:
        self._service, self._registry = service, registry
        self._runs, self._refresh = runs, refresh

    async def look(self, dataset: str, category: str) -> Sensitivity:
        """What a part's champion is asked for; ServiceError 404 or 409 where it can't be said."""
        champion = await self._service.champion(dataset, category)
        thresholds, shots = await self._calibration(champion)
        said = await from_registry(lambda: self._feedback(champion, shots))
        verdicts = await self._verdicts(champion, [image for _, image in said])
        assert thresholds.scores is not None
        tipping = tuple(
            Tipping(kind, round(thresholds.scores.false_alarms(verdict.score), 3))
            for (kind, _), verdict in zip(said, verdicts, strict=True)
            if isinstance(verdict, Verdict) and verdict.score > 0
        )
        asked = champion.false_alarms or thresholds.false_alarms
        assert asked is not None  # by `at`, which made them
        return Sensitivity(champion.version, asked, tipping)

    async def change(
        self, dataset: str, category: str, false_alarms: float, by: str | None = None
    ) -> Champion:
        """Ask a part's champion for so many false alarms; the scorers follow within seconds.

        Raises:
            ServiceError: 404; 409 where it was fitted before this could be chosen; 422 for a
                number out of its range.
        """
        champion = await self._service.champion(dataset, category)
        thresholds, _ = await self._calibration(champion)
        try:
            thresholds.at(false_alarms)
        except ConfigError as error:
            raise ServiceError(Refusal(422, "bad_false_alarms", str(error))) from error
        changed = await from_registry(lambda: self._registry.ask(champion, false_alarms, by=by))
        await self._refresh()
        return changed

    async def _calibration(self, champion: Champion) -> tuple[Thresholds, tuple[Shot, ...]]:
        cache = self._service.config.cache.expanduser()
        try:
            folder = await from_registry(
                lambda: self._registry.fetch(champion, champion.version, cache)
            )
            config = read_config(folder)
        except InputError as error:
            raise ServiceError(Refusal(503, "no_checkpoint", str(error))) from error
        if config.thresholds is None or config.thresholds.scores is None:
            message = (
                f"version {champion.version} of {champion.key} does not say what good parts are "
                "expected to score; fit it again to choose a number of false alarms"
            )
            raise ServiceError(Refusal(409, "no_calibration", message))
        return config.thresholds, config.shots

    def _feedback(
        self, champion: Champion, shots: tuple[Shot, ...]
    ) -> list[tuple[Literal["good", "missed"], bytes]]:
        """Kind and content of the newest images, without those that it was fitted on."""
        known = {shot.sha256 for shot in shots}
        with TemporaryDirectory() as scratch:
            last = {said.sha256: said for said in self._runs.feedback(champion, Path(scratch))}
            new = [said for digest, said in last.items() if digest not in known]
            return [(one.kind, (Path(scratch) / one.image).read_bytes())
                    for one in new[-MOST_FEEDBACK:]]  # fmt: skip

    async def _verdicts(self, champion: Champion, images: list[bytes]) -> list[Verdict | Refusal]:
        """One request after the other, each as large as a request may be."""
        found: list[Verdict | Refusal] = []
        for start in range(0, len(images), self._service.config.max_images):
            some = images[start : start + self._service.config.max_images]
            answered = await self._service.score(champion.dataset, champion.category, some)
            found += answered.scored.images
        return found
