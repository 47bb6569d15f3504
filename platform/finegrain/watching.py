"""A folder that photos arrive in: each is scored once, and its verdict is a JSON line.

The log says what was scored, so nothing is scored twice after a restart. A receiver is sent each
line in order; what it did not take is sent again later, after a restart too.
"""

import json
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from finegrain.data.listing import images_below
from finegrain.decision import Verdict
from finegrain.errors import ConfigError, ImageError
from finegrain.files import write_text
from finegrain.fitted import FittedDetector

Stamp = tuple[str, int, int]  # a file's name below the folder, its bytes, its change in ns
Send = Callable[[str], bool]  # a line; whether it was taken


def facts(outcome: Verdict | ImageError) -> dict[str, Any]:
    """What a table or a log says of an image; an image that can't be read has an error alone."""
    if isinstance(outcome, ImageError):
        return {"error": str(outcome)}
    return {
        "score": outcome.score,
        "threshold": outcome.threshold,
        "rejected": outcome.rejected,
        "reason": outcome.reason,
        "regions": [vars(region) for region in outcome.regions],
    }


class Watch:
    """Looks into a folder again and again.

    A file counts as whole when two looks find it with the same size and time of change.

    Args:
        part: what is expected in the photos.
        folder: where they arrive.
        log: the file of JSON lines; it is opened and closed for each.
        send: hears of each line; None where nobody does.

    Raises:
        ConfigError: the folder is none, or the log is not one of ours.
    """

    def __init__(
        self, part: FittedDetector, folder: Path, log: Path, send: Send | None = None
    ) -> None:
        if not folder.is_dir():
            raise ConfigError(f"{folder} is not a folder; give the one that photos arrive in")
        self._part, self._folder, self._log, self._send = part, folder, log, send
        self._cursor = log.with_name(f"{log.name}.sent")  # bytes of the log that were taken
        self._done = set(_scored(log))
        self._seen: set[Stamp] = set()

    def look(self) -> int:
        """Score what arrived whole since the last look, and send; how many were scored."""
        stamps = {stamp: path for path in images_below(self._folder) if (stamp := self._of(path))}
        new = {s: path for s, path in stamps.items() if s in self._seen and s not in self._done}
        self._seen = set(stamps)
        for stamp, outcome in zip(new, self._part.inspect_each(new.values()), strict=True):
            self._write(stamp, outcome)
        self._deliver()
        return len(new)

    def run(self, every_s: float) -> None:
        """Look until interrupted."""
        while True:
            self.look()
            time.sleep(every_s)

    def _of(self, path: Path) -> Stamp | None:
        try:
            found = path.stat()
        except OSError:  # gone again
            return None
        return str(path.relative_to(self._folder)), found.st_size, found.st_mtime_ns

    def _write(self, stamp: Stamp, outcome: Verdict | ImageError) -> None:
        name, size, changed = stamp
        line = {"image": name, "bytes": size, "changed_ns": changed}
        line |= {"time": datetime.now(UTC).isoformat(), "part": self._part.category}
        with self._log.open("a") as log:
            log.write(json.dumps(line | facts(outcome), ensure_ascii=False) + "\n")
        self._done.add(stamp)

    def _deliver(self) -> None:
        if self._send is None or not self._log.is_file():
            return
        taken = int(self._cursor.read_text()) if self._cursor.is_file() else 0
        with self._log.open("rb") as log:
            log.seek(taken)
            for line in log:
                if not self._send(line.decode().rstrip("\n")):
                    return
                taken += len(line)
                write_text(self._cursor, str(taken))


def _scored(log: Path) -> Iterable[Stamp]:
    """What the log says was scored; a last line that was cut short is cut off."""
    if not log.is_file():
        return
    content = log.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        with log.open("r+b") as stream:
            stream.truncate(len(whole))
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            found = json.loads(line)
            yield found["image"], found["bytes"], found["changed_ns"]
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{log}, line {number} is no verdict of `finegrain watch`; give another file"
            ) from error
