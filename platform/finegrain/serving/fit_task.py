"""The fit of a part as a task of Ray: a process with resources of its own, never a replica."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from finegrain.errors import first_line
from finegrain.serving.config import ServingConfig
from finegrain.serving.enrolment import Order, Step
from finegrain.serving.fit_part import fit_part
from finegrain.serving.messages import Preview, Refusal, ServiceError
from finegrain.serving.preview import preview


class RayFitter:
    """Fits parts somewhere on the cluster, where the config's share of it is free.

    A fit is not tried again: a process that died may have died of its photos, and whoever asked
    is there to ask again.
    """

    def __init__(self, config: ServingConfig) -> None:
        self._config = config
        share = {"num_cpus": config.enrol_cpus, "num_gpus": config.enrol_gpus, "max_retries": 0}
        self._task = ray.remote(fit_part).options(
            **share, num_returns="streaming", name="enrolment"
        )
        self._preview = ray.remote(preview).options(**share, name="preview")

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

    async def preview(self, order: Order) -> Preview:
        """What is seen in its photos.

        Raises:
            InputError: one can't be read.
            ServiceError: 503 where the process was lost.
        """
        task: Any = self._preview.remote(order, self._config)
        try:
            seen: Preview = await task
        except RayTaskError as error:
            raise error.cause from error
        except RayError as error:
            message = f"the preview's process was lost: {first_line(error)}"
            raise ServiceError(Refusal(503, "lost", message)) from error
        except asyncio.CancelledError:
            ray.cancel(task, force=True)
            raise
        return seen
