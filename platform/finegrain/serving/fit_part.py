"""The work behind an enrolment: photos in, a champion in the registry out. No Ray in here."""

from collections.abc import Generator, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import torch

from finegrain.backbones import load_backbone
from finegrain.checkpoint import save_detector
from finegrain.data.images import open_image
from finegrain.data.shots import Shot
from finegrain.errors import ConfigError, InputError
from finegrain.fitted import FittedDetector, fitting
from finegrain.serving.config import ServingConfig
from finegrain.serving.enrolment import Order, State, Step
from finegrain.tracking import PartRuns, Registry

backbone_of = cache(load_backbone)  # a process may fit several parts, one after the other


def fit_part(order: Order, config: ServingConfig) -> Iterator[Step]:
    """Fit, calibrate and register a part, and make it the champion.

    What can be wrong with the order is a last step, "failed"; anything else goes up. The registry
    is touched at the very end, so that whatever happens before leaves the champion as it was.
    """
    try:
        yield from _fit(order, config)
    except InputError as error:
        yield Step("failed", message=str(error))


def _fit(order: Order, config: ServingConfig) -> Iterator[Step]:
    torch.set_num_threads(max(1, int(config.enrol_cpus)))
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shots = _write_photos(order, folder / "photos")
        fitted = yield from _told(_stages(order, config, folder, shots))
        if fitted.detector.windows:
            raise ConfigError(f"{order.method} needs windows of the image, which no server encodes")
        yield Step("registering")
        save_detector(
            fitted.detector,
            folder / "checkpoint",
            dataset=order.dataset,
            category=order.category,
            shots=shots,
            thresholds=fitted.thresholds,
        )
        yield Step("ready", version=_register(order, config, folder))


def _stages(
    order: Order, config: ServingConfig, folder: Path, shots: tuple[Shot, ...]
) -> Generator[str, None, FittedDetector]:
    device = "cuda" if config.enrol_gpus else "cpu"
    return fitting(
        [folder / shot.path for shot in shots],
        backbone_of(config.backbone, device, config.backbone_weights),
        method=order.method,
        options=order.options,
        category=order.category,
        seed=order.seed,
        false_alarms=order.false_alarms,
        dataset=order.dataset,
        resize=order.resize,
    )


def _told(
    stages: Generator[str, None, FittedDetector],
) -> Generator[Step, None, FittedDetector]:
    """The stages as steps."""
    known = {state: Step(state) for state in get_args(State)}
    while True:
        try:
            yield known[next(stages)]
        except StopIteration as done:
            fitted: FittedDetector = done.value
            return fitted


def _write_photos(order: Order, folder: Path) -> tuple[Shot, ...]:
    """Each under a name of ours, with the suffix of what it is."""
    folder.mkdir()
    shots = []
    for place, content in enumerate(order.photos, start=1):
        kind = open_image(content, f"photo {place}").format
        name = f"{place:02}.{str(kind).lower()}"
        (folder / name).write_bytes(content)
        shots.append(Shot(Path(folder.name) / name, sha256(content).hexdigest()))
    return tuple(shots)


def _register(order: Order, config: ServingConfig, folder: Path) -> str:
    """The version that is now the champion."""
    registry = Registry(config.tracking_uri)
    champion = registry.champion(order.dataset, order.category)
    now = champion.version if champion else None
    if now != order.before:
        raise ConfigError(
            f"the champion of {order.key} became version {now} meanwhile; it stays. Enrol again"
        )
    asked = {"dataset": order.dataset, "category": order.category, "method": order.method}
    counts = {
        "shots": len(order.photos),
        "seed": order.seed,
        "false_alarms_asked": order.false_alarms,
        "backbone": config.backbone,
    }
    run = PartRuns(config.tracking_uri).record(order.key, folder, asked | counts, {})
    return registry.promote(run, by=order.by, what="enrolled").version
