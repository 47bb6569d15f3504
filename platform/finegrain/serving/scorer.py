"""Tokens -> verdicts, by the champion of their category, which is kept in memory and up to date."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from weakref import WeakValueDictionary

import torch

from finegrain.backbones import RemoteBackbone
from finegrain.checkpoint import CheckpointConfig, load_detector, read_config
from finegrain.decision import Thresholds, Verdict, decide
from finegrain.decision.canary import check_canary
from finegrain.detectors import Detector
from finegrain.errors import InputError, ScoreError, first_line
from finegrain.serving.champions import ChampionPoller, Champions
from finegrain.serving.config import ServingConfig
from finegrain.serving.messages import NO_SCORE, EncodedImages, Refusal, ScoredImages
from finegrain.serving.pictures import drawn
from finegrain.tracking import Champion, Registry

log = logging.getLogger("ray.serve")


@dataclass(frozen=True)
class Loaded:
    """A checkpoint in memory.

    Args:
        fitted: thresholds that it was fitted with.
        false_alarms: that were asked for since, of 100 good parts.
        aspect: of the images that it scores; None: squashed.
    """

    version: str
    detector: Detector
    fitted: Thresholds | None
    false_alarms: float | None = None
    aspect: float | None = None

    @cached_property
    def thresholds(self) -> Thresholds | None:
        """Those that decide; as fitted where nothing else is asked, or can be."""
        if self.fitted is None or self.fitted.scores is None or self.false_alarms is None:
            return self.fitted
        return self.fitted.at(self.false_alarms)


class Slot:
    """The champion of one category in this process; `current` is swapped in one assignment."""

    def __init__(self, dataset: str, category: str) -> None:
        self.dataset, self.category = dataset, category
        self.current: Loaded | None = None
        self.unservable: dict[str, str] = {}  # version -> why
        self.unread: str | None = None  # why the newest could not be read yet; it may come back

    @property
    def key(self) -> str:
        """DATASET/CATEGORY."""
        return f"{self.dataset}/{self.category}"

    @property
    def warning(self) -> str | None:
        """Why the newest champion is not the one that answers."""
        return self.unread or next(reversed(self.unservable.values()), None)


class Scorer:
    """Loads champions and scores with them. Registry errors leave what is loaded in place.

    A slot is followed for as long as anyone holds it: Serve, which keeps the most recently used,
    or a request that scores with it.

    Args:
        registry: where champions are selected.
        backbone: name and weights' hash of the encoder's; other checkpoints are refused.
        canary: what the encoder makes of the canary for a part whose images have that aspect
            ratio; each detector has to score it before it serves.
        config: with the folder for downloads, the detectors that may serve, and how often the
            champions of the loaded categories are looked up.
    """

    def __init__(
        self,
        registry: Registry,
        backbone: tuple[str, str],
        canary: Callable[[float | None], EncodedImages],
        config: ServingConfig,
    ) -> None:
        torch.set_num_threads(1)
        self._registry, self._canary = registry, lru_cache(16)(canary)
        self._backbone = RemoteBackbone(*backbone)
        self._config, self._cache = config, config.cache.expanduser()
        self._slots: WeakValueDictionary[str, Slot] = WeakValueDictionary()
        self._poller = ChampionPoller(registry, config.poll_seconds, self._follow)

    def open(self, key: str) -> Slot:
        """Load the champion of DATASET/CATEGORY.

        Raises:
            InputError: it has no champion, or none can be loaded, now or earlier.
        """
        dataset, _, category = key.partition("/")
        champion = self._registry.champion(dataset, category)
        slot = Slot(dataset, category)
        if champion is None:
            raise InputError(f"{key} has no champion; promote one with `finegrain promote`")
        self._take(slot, champion)
        newest = slot.unread
        for version in reversed(champion.earlier):
            if slot.current is None:
                self._load(slot, champion, version)
        if slot.current is None:
            raise InputError(f"no champion of {key} can be loaded: {slot.warning}")
        slot.unread = newest
        self._slots[key] = slot
        return slot

    def close(self) -> None:
        """Follow champions no longer."""
        self._poller.stop()

    def score(
        self, slot: Slot, encoded: EncodedImages | Refusal, *, pictures: Sequence[str] = ()
    ) -> ScoredImages | Refusal:
        """The verdict on each image.

        Args:
            slot: from `open`.
            encoded: what the encoder made of a request.
            pictures: any of PICTURES; "map" gives the map itself.
        """
        if isinstance(encoded, Refusal):
            return encoded
        loaded = slot.current
        assert loaded is not None
        if encoded.aspect != loaded.aspect:
            message = (
                f"the champion of {slot.key} is changing to one of images of another shape; ask "
                "again"
            )
            return Refusal(503, "champion_changes", message)
        start = time.perf_counter()
        try:
            verdicts = iter(_decided(loaded, encoded))
        except ScoreError as error:  # no verdict is better than a wrong one
            log.error("%s version %s: %s", slot.key, loaded.version, error)
            return Refusal(500, NO_SCORE, f"{slot.key} version {loaded.version}: {error}")
        images: list[Verdict | Refusal] = []
        files: list[dict[str, bytes]] = []
        for image in encoded.images:
            if isinstance(image, Refusal):
                images.append(image)
                files.append({})
                continue
            verdict = next(verdicts)
            files.append(drawn(verdict, image.preview, pictures))
            sent = verdict.anomaly_map if "map" in pictures else None
            images.append(replace(verdict, anomaly_map=sent, matched=None))
        return ScoredImages(
            images=tuple(images),
            pictures=tuple(files),
            version=loaded.version,
            detector=loaded.detector.name,
            refused=slot.warning,
            decode_ms=encoded.decode_ms,
            encode_ms=encoded.encode_ms,
            score_ms=1000 * (time.perf_counter() - start),
            batch_images=encoded.batch_images,
            thresholds=loaded.thresholds,
        )

    def _follow(self, champions: Champions) -> None:
        for held in self._slots.valuerefs():  # a list, whatever other threads open meanwhile
            if (slot := held()) and (champion := champions.get(slot.key)):
                self._take(slot, champion)

    def _take(self, slot: Slot, champion: Champion) -> None:
        """Bring a slot to its champion unless that was refused before."""
        now = slot.current
        if now and now.version == champion.version:
            slot.unservable.clear()
            slot.unread = None
            if now.false_alarms != champion.false_alarms:
                slot.current = replace(now, false_alarms=champion.false_alarms)
        elif champion.version not in slot.unservable:
            self._load(slot, champion, champion.version)

    def _load(self, slot: Slot, champion: Champion, version: str) -> None:
        """Let a version answer; whatever is wrong with it, what answers now stays."""
        try:
            folder = self._registry.fetch(champion, version, self._cache)
            config = read_config(folder)
            canary = self._canary(config.aspect)
        except InputError as error:
            self._refuse(slot, version, error)
            return
        except Exception as error:  # registry or encoder are away; they may come back
            self._wait(slot, version, error)
            return
        asked = champion.false_alarms if version == champion.version else None
        try:
            detector = self._sound(slot, folder, config, canary)
            slot.current = Loaded(version, detector, config.thresholds, asked, config.aspect)
        except (OSError, MemoryError) as error:
            self._wait(slot, version, error)
            return
        except Exception as error:
            self._refuse(slot, version, error)
            return
        slot.unread = None
        log.info("%s is now version %s", slot.key, version)

    def _refuse(self, slot: Slot, version: str, error: Exception) -> None:
        """Never try the version again in this process."""
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        slot.unservable[version] = f"version {version} is refused: {kind}{first_line(error)}"
        log.error("%s: %s", slot.key, slot.unservable[version])

    def _wait(self, slot: Slot, version: str, error: Exception) -> None:
        """Try it again at the next look."""
        slot.unread = f"version {version} can't be read now: {first_line(error)}"
        log.warning("%s: %s", slot.key, slot.unread)

    def _sound(
        self, slot: Slot, folder: Path, config: CheckpointConfig, canary: EncodedImages
    ) -> Detector:
        """A checkpoint's detector, after it has decided on the canary as on any image."""
        if (config.dataset, config.category) != (slot.dataset, slot.category):
            raise InputError(f"it is a checkpoint of {config.dataset}/{config.category}")
        self._config.check_detector(config.detector)
        detector = load_detector(folder, self._backbone)
        if detector.windows:
            raise InputError(
                f"{detector.name} needs windows of the image, which the encoder does not "
                "send; promote a checkpoint of another method"
            )
        [verdict] = _decided(Loaded("", detector, config.thresholds), canary)
        check_canary(verdict.score, config.thresholds)
        return detector


def _decided(loaded: Loaded, encoded: EncodedImages) -> list[Verdict]:
    """The verdicts on the images that could be read."""
    readable = [image for image in encoded.images if not isinstance(image, Refusal)]
    return decide(
        loaded.detector.score(encoded.tokens()),
        loaded.thresholds,
        [(image.width, image.height) for image in readable],
        units=loaded.detector.units,
        grid=encoded.grid,
    )
