"""Whether the server answers, and each category: by a canary in the background, never for a probe.

The server's readiness is its own: a category that can't be served makes nobody else wait.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from finegrain.errors import first_line
from finegrain.serving.messages import Refusal, ScoredImages, ServiceError
from finegrain.serving.service import ScoringService
from finegrain.tracking import Champion

log = logging.getLogger("ray.serve")


@dataclass(frozen=True)
class State:
    """What the canary says of a category.

    Args:
        version: the champion when it was asked.
        ready: whether any version answers.
        message: why none does, or why an earlier one does.
        pending: whether the version may still be taken up.
        at: time.monotonic.
    """

    version: str
    ready: bool
    message: str | None
    pending: bool
    at: float

    @property
    def settled(self) -> bool:
        """Whether the champion itself answers."""
        return self.ready and self.message is None


class Health:
    """Sends the canary through the whole graph, for each champion once and then now and again."""

    def __init__(self, service: ScoringService) -> None:
        self._service = service
        self._states: dict[str, State] = {}
        self._fault: str | None = "no canary was scored yet"
        self._at = self._due = float("-inf")

    async def watch(self) -> None:
        """Look for ever."""
        while True:
            await self.look()
            await asyncio.sleep(self._service.config.poll_seconds)

    async def look(self) -> None:
        """Ask whose champion is new; from time to time, those at fault and one that is not."""
        try:
            champions = await self._service.champions()
            asked = self._chosen(list(champions.values()))
            faults = [fault for champion in asked if (fault := await self._ask(champion))]
        except ServiceError as error:
            self._fault = str(error)
        except Exception as error:  # the registry's
            self._fault = first_line(error)
        else:
            self._states = {key: self._states[key] for key in champions if key in self._states}
            if asked or not champions:
                self._fault = faults[-1] if asked and len(faults) == len(asked) else None
        if self._fault:
            log.warning("not ready: %s", self._fault)
        self._at = time.monotonic()

    def fault(self) -> str | None:
        """Why the server is not ready, None where it is."""
        config = self._service.config
        patience = config.request_timeout_s + 3 * config.canary_seconds
        if self._fault is None and time.monotonic() - self._at > patience:
            return f"the canary is not back after {patience:g} s"
        return self._fault

    def of(self, champion: Champion) -> State | None:
        """What is known of a category; None before its first canary."""
        state = self._states.get(champion.key)
        if state is None or state.version == champion.version:
            return state
        return replace(state, message=f"version {champion.version} is being taken up")

    def _chosen(self, champions: Sequence[Champion]) -> list[Champion]:
        """Whom to ask now."""
        states = [(champion, self._states.get(champion.key)) for champion in champions]
        news = [c for c, s in states if s is None or s.pending or s.version != c.version]
        if time.monotonic() < self._due:
            return news
        self._due = time.monotonic() + self._service.config.canary_seconds
        known = [(s.at, c) for c, s in states if s is not None and c not in news and s.settled]
        faulty = [c for c, s in states if s is not None and c not in news and not s.settled]
        oldest = [min(known, key=lambda one: one[0])[1]] if known else []
        return [*news, *faulty, *oldest]

    async def _ask(self, champion: Champion) -> str | None:
        """Note what the canary says; what is wrong with the server itself is returned."""
        try:
            scored = await self._service.canary(champion.key)
        except ServiceError as error:
            busy = error.refusal.status == 429  # alive, and at work
            return None if busy else str(error)
        except Exception as error:  # in a replica: its detector's or the encoder's
            self._states[champion.key] = _state(champion, first_line(error))
            return first_line(error)
        self._states[champion.key] = _state(champion, scored)
        return None


def _state(champion: Champion, scored: ScoredImages | Refusal | str) -> State:
    now = time.monotonic()
    if isinstance(scored, str):
        return State(champion.version, ready=False, message=scored, pending=False, at=now)
    if isinstance(scored, Refusal):
        return State(champion.version, ready=False, message=scored.message, pending=False, at=now)
    if scored.version == champion.version:
        return State(champion.version, ready=True, message=None, pending=False, at=now)
    message = scored.refused or f"version {champion.version} is being taken up"
    pending = scored.refused is None
    return State(champion.version, ready=True, message=message, pending=pending, at=now)
