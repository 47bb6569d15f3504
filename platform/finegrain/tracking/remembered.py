"""What the registry said last, for a server that starts while MLflow is away."""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException

from finegrain.errors import InputError, first_line
from finegrain.files import write_json
from finegrain.tracking.champion import Champion
from finegrain.tracking.registry import Registry

log = logging.getLogger("ray.serve")


class RememberedRegistry(Registry):
    """A registry whose answers lie beside the downloads, one file each.

    Where MLflow can't answer, they are: after a restart the server goes on with the champions that
    it had. What MLflow says, or denies, replaces them.

    Args:
        uri: of the tracking server or database.
        folder: of downloads.
    """

    def __init__(self, uri: str, folder: Path) -> None:
        super().__init__(uri)
        self._folder = folder.expanduser() / "registry"

    def champions(self) -> dict[str, Champion]:
        """As the registry has them, or had them."""
        found = self._asked(
            "champions",
            lambda: [asdict(one) for one in super(RememberedRegistry, self).champions().values()],
        )
        champions = (Champion(**{**one, "earlier": tuple(one["earlier"])}) for one in found)
        return {champion.key: champion for champion in champions}

    def champion(self, dataset: str, category: str) -> Champion | None:
        """The category's, as the registry has it, or had it."""
        try:
            return super().champion(dataset, category)
        except Exception as error:
            if not _is_away(error):
                raise
            return self.champions().get(f"{dataset}/{category}")

    def fetch(self, champion: Champion, version: str, folder: Path) -> Path:
        """The checkpoint of a version, which may lie there since MLflow last answered."""
        name = self._asked(
            f"{champion.model} {version}",
            lambda: super(RememberedRegistry, self).fetch(champion, version, folder).name,
        )
        return folder / str(name)

    def _asked(self, question: str, ask: Callable[[], Any]) -> Any:
        """The answer of MLflow, which is kept, or else what was kept; its error without either."""
        kept = self._folder / f"{sha256(f'{self._uri} {question}'.encode()).hexdigest()}.json"
        try:
            answer = ask()
        except Exception as error:
            if not (_is_away(error) and kept.is_file()):
                raise
            log.warning("MLflow is away (%s); %s as last heard", first_line(error), question)
            return json.loads(kept.read_bytes())
        if not kept.is_file() or json.loads(kept.read_bytes()) != json.loads(json.dumps(answer)):
            write_json(kept, answer)
        return answer


def _is_away(error: Exception) -> bool:
    """Whether nothing was answered, rather than a no."""
    if isinstance(error, InputError):
        return False
    return not isinstance(error, MlflowException) or error.error_code == "INTERNAL_ERROR"
