"""The fit of a part as a task of Ray: a process with resources of its own, never a replica."""

from collections.abc import AsyncGenerator
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from finegrain.errors import first_line
from finegrain.serving.config import ServingConfig
from finegrain.serving.enrolment import Order, Step
from finegrain.serving.fit_part import fit_part


class RayFitter:
    """Fits parts somewhere on the cluster, where the config's share of it is free.

    A fit is not tried again: a process that died may have died of its photos, and whoever asked
    is there to ask again.
    """

    def __init__(self, config: ServingConfig) -> None:
        self._config = config
        self._task = ray.remote(fit_part).options(
            num_cpus=config.enrol_cpus,
            num_gpus=config.enrol_gpus,
            max_retries=0,
            num_returns="streaming",
            name="enrolment",
        )

    async def fit(self, order: Order) -> AsyncGenerator[Step, None]:
        """The steps as they are reached; closing it ends the task."""
        steps: Any = self._task.remote(order, self._config)  # a generator of references
        ended = False
        try:
            async for step in steps:
                yield await step
            ended = True
        except RayTaskError:
            raise
        except RayError as error:
            yield Step("failed", message=f"its process was lost: {first_line(error)}")
        finally:
            if not ended:
                ray.cancel(steps, force=True)
