"""The champions as this process last heard of them: one thread asks the registry for all."""

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from finegrain.errors import InputError
from finegrain.serving.messages import Refusal, ServiceError
from finegrain.tracking import Champion, Registry

T = TypeVar("T")
log = logging.getLogger("ray.serve")
Champions = dict[str, Champion]  # by DATASET/CATEGORY


class ChampionPoller:
    """Asks the registry every `seconds`; one that is away leaves what was known.

    Args:
        registry: where champions are selected.
        seconds: between two questions.
        notice: told each answer, in the poller's thread.
    """

    def __init__(
        self,
        registry: Registry,
        seconds: float,
        notice: Callable[[Champions], None] = lambda _champions: None,
    ) -> None:
        self._registry, self._seconds, self._notice = registry, seconds, notice
        self.heard: Champions | None = None  # None until the registry has answered
        self._stop = threading.Event()
        threading.Thread(target=self._poll, name="champions", daemon=True).start()

    def ask(self) -> Champions:
        """The registry's answer of this moment; its errors go up."""
        self.heard = self._registry.champions()
        return self.heard

    def look(self) -> None:
        """Take up the registry's answer; one that is away leaves what is known."""
        try:
            self._notice(self.ask())
        except Exception as error:
            log.warning("champions can't be looked up: %s", error)

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()

    def _poll(self) -> None:
        while not self._stop.is_set():
            self.look()
            self._stop.wait(self._seconds)


async def from_registry(question: Callable[[], T]) -> T:
    """What MLflow answers, asked in a thread; InputErrors go up.

    Raises:
        ServiceError: 503 where it can't answer.
    """
    try:
        return await asyncio.to_thread(question)
    except InputError:
        raise
    except Exception as error:
        message = f"the registry does not answer: {error}".splitlines()[0]
        raise ServiceError(Refusal(503, "registry", message), retry_after=10) from error
