"""When a replica was last seen to be gone: what it owed may never come."""

import logging
import threading
import time

from ray.util import list_named_actors

SECONDS = 1.0  # between two looks
PREFIX = "SERVE_REPLICA::"  # of the names that Serve gives them
log = logging.getLogger("ray.serve")


class ReplicaWatch:
    """Looks for lost replicas in a thread of its own; within one, as their names are Serve's."""

    def __init__(self) -> None:
        self._lost_at, self._seen = float("-inf"), frozenset[str]()
        threading.Thread(target=self._watch, name="replicas", daemon=True).start()

    def lost_since(self, moment: float) -> bool:
        """Whether one was seen to be gone after that moment of `time.monotonic`."""
        return self._lost_at > moment

    def _watch(self) -> None:
        while True:
            try:
                names = list_named_actors()
            except Exception as error:  # the head may be away
                log.warning("replicas can't be looked up: %s", error)
            else:
                seen = frozenset(name for name in names if name.startswith(PREFIX))
                if self._seen - seen:
                    self._lost_at = time.monotonic()
                self._seen = seen
            time.sleep(SECONDS)
