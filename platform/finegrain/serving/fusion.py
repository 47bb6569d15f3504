"""Tokens -> verdicts: PAD and VAD of the category's champion, fused by `Detector.score`."""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from finegrain.backbones import RemoteBackbone
from finegrain.checkpoint import load_detector, read_config
from finegrain.decision.regions import Region, Thresholds, find_regions
from finegrain.detectors import Detector
from finegrain.errors import InputError
from finegrain.serving.messages import EncodedImages, Refusal, Scored, ScoredImages, Seen
from finegrain.serving.pictures import (
    components_layer,
    heatmap_layer,
    matched_components,
    overlay_png,
)
from finegrain.tracking import Champion, Registry

log = logging.getLogger("ray.serve")
NEAR_PEAK = 0.9  # of the map's maximum: what counts as its highest place


@dataclass(frozen=True)
class Loaded:
    """A checkpoint in memory."""

    version: str
    detector: Detector
    thresholds: Thresholds | None


class Slot:
    """The champion of one category in this process; `current` is swapped in one assignment."""

    def __init__(self, dataset: str, category: str) -> None:
        self.dataset, self.category = dataset, category
        self.current: Loaded | None = None
        self.refused: dict[str, str] = {}  # version -> why it is not served

    @property
    def warning(self) -> str | None:
        """Why the newest champion is not the one that answers."""
        return next(reversed(self.refused.values()), None)


class Fusion:
    """Loads champions and scores with them. Registry errors leave what is loaded in place.

    Args:
        registry: where champions are selected.
        backbone: name and weights' hash of the encoder's; other checkpoints are refused.
        cache: folder for downloads.
        poll_seconds: how often the champions of the loaded categories are looked up.
    """

    def __init__(
        self, registry: Registry, backbone: tuple[str, str], cache: Path, poll_seconds: float
    ) -> None:
        torch.set_num_threads(1)
        self._registry = registry
        self._backbone = RemoteBackbone(*backbone)
        self._cache = cache.expanduser()
        self._slots: dict[str, Slot] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, args=(poll_seconds,), daemon=True)
        self._thread.start()

    def open(self, key: str) -> Slot:
        """Load the champion of DATASET/CATEGORY.

        Raises:
            CheckpointError: no champion of it can be loaded, now or earlier.
        """
        dataset, _, category = key.partition("/")
        champion = self._registry.champion(dataset, category)
        slot = Slot(dataset, category)
        if champion is None:
            raise InputError(f"{key} has no champion; promote one with jobs/promote.py")
        self._take(slot, champion)
        for version in reversed(champion.earlier):
            if slot.current is None:
                self._load(slot, champion, version)
        if slot.current is None:
            raise InputError(f"no champion of {key} can be loaded: {slot.warning}")
        self._slots[key] = slot
        return slot

    def close(self, slot: Slot) -> None:
        """Forget a category."""
        self._slots.pop(f"{slot.dataset}/{slot.category}", None)

    def shutdown(self) -> None:
        """End the thread that looks for new champions."""
        self._stop.set()

    def score(
        self, slot: Slot, encoded: EncodedImages | Refusal, *, pictures: Sequence[str] = ()
    ) -> ScoredImages | Refusal:
        """The verdict on each image.

        Args:
            slot: from `open`.
            encoded: what the encoder made of a request.
            pictures: any of "overlay", "heatmap", "components"; "map" gives the map itself.
        """
        if isinstance(encoded, Refusal):
            return encoded
        loaded = slot.current
        assert loaded is not None
        start = time.perf_counter()
        prediction = loaded.detector.score(encoded.tokens())
        images: list[Scored | Refusal] = []
        row = 0
        for seen in encoded.images:
            if isinstance(seen, Refusal):
                images.append(seen)
                continue
            matched = None if prediction.matched is None else prediction.matched[row]
            images.append(
                verdict(
                    loaded,
                    seen,
                    float(prediction.image_scores[row]),
                    prediction.anomaly_maps[row],
                    None if matched is None else matched.reshape(encoded.grid),
                    pictures,
                )
            )
            row += 1
        return ScoredImages(
            images=tuple(images),
            version=loaded.version,
            detector=loaded.detector.name,
            refused=slot.warning,
            decode_ms=encoded.decode_ms,
            encode_ms=encoded.encode_ms,
            score_ms=1000 * (time.perf_counter() - start),
            batch_images=encoded.batch_images,
        )

    def _poll(self, seconds: float) -> None:
        while not self._stop.wait(seconds):
            try:
                champions = self._registry.champions() if self._slots else {}
            except Exception as error:  # the registry may be away; what is loaded goes on serving
                log.warning("champions can't be looked up: %s", error)
                continue
            for key, slot in list(self._slots.items()):
                if champion := champions.get(key):
                    self._take(slot, champion)

    def _take(self, slot: Slot, champion: Champion) -> None:
        """Bring a slot to its champion unless that was refused before."""
        now = slot.current
        if now and now.version == champion.version:
            slot.refused.clear()
        elif champion.version not in slot.refused:
            self._load(slot, champion, champion.version)

    def _load(self, slot: Slot, champion: Champion, version: str) -> None:
        try:
            folder = self._registry.fetch(champion, version, self._cache)
            config = read_config(folder)
            if (config.dataset, config.category) != (slot.dataset, slot.category):
                raise InputError(f"it is a checkpoint of {config.dataset}/{config.category}")
            detector = load_detector(folder, self._backbone)
            if detector.windows:
                raise InputError(
                    f"{detector.name} needs windows of the image, which the encoder does not "
                    "send; promote a checkpoint of another method"
                )
            slot.current = Loaded(version, detector, config.thresholds)
            log.info("%s is now version %s", champion.key, version)
        except InputError as error:
            slot.refused[version] = f"version {version} is refused: {error}"
            log.error("%s: %s", champion.key, slot.refused[version])
        except Exception as error:  # a registry or disk that may come back: try again
            if slot.current is None:
                raise
            log.warning("%s version %s can't be fetched: %s", champion.key, version, error)


def verdict(
    loaded: Loaded,
    seen: Seen,
    score: float,
    anomaly_map: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    matched: np.ndarray[tuple[int, ...], np.dtype[np.int16]] | None,
    pictures: Sequence[str],
) -> Scored:
    """Decision, regions and pictures of one image."""
    thresholds, units = loaded.thresholds, loaded.detector.units
    regions: list[Region] = []
    size = (seen.width, seen.height)
    if thresholds:
        regions = find_regions(anomaly_map, thresholds.pixel, size, matched, units)
    pixel = thresholds.pixel if thresholds else None
    files = {}
    if "overlay" in pictures and seen.preview is not None:
        files["overlay"] = overlay_png(seen.preview, anomaly_map, pixel)
    if "heatmap" in pictures:
        files["heatmap"] = heatmap_layer(anomaly_map, pixel)
    if "components" in pictures and matched is not None:
        files["components"] = components_layer(matched)
    rejected = score > thresholds.image if thresholds else None
    suspect = None
    if rejected and not regions:
        near_peak = NEAR_PEAK * float(anomaly_map.max())
        suspect = next(iter(find_regions(anomaly_map, near_peak, size, matched, units)), None)
    return Scored(
        score=score,
        threshold=thresholds.image if thresholds else None,
        rejected=rejected,
        reason=reason(rejected, regions, suspect),
        regions=regions,
        width=seen.width,
        height=seen.height,
        components=[] if matched is None else matched_components(matched, units),
        pictures=files,
        anomaly_map=anomaly_map if "map" in pictures else None,
    )


def reason(rejected: bool | None, regions: Sequence[Region], suspect: Region | None = None) -> str:
    """One sentence that tells an operator what was decided and why.

    Args:
        rejected: None where there is no threshold.
        regions: above their threshold, the highest first.
        suspect: where the map is highest, of an image that is rejected without a region.
    """
    if rejected is None:
        return "No decision: this checkpoint was not calibrated."
    if not (regions or rejected):
        return "Accepted: nothing stands out."
    if not regions:
        whole = "Rejected: the image as a whole scores above its threshold, though no region does"
        return f"{whole}; the highest is {_centre(suspect)}." if suspect else f"{whole}."
    worst = regions[0]
    place = f" at the {worst.component}" if worst.component else ""
    where = f"{len(regions)} region{'s' * (len(regions) > 1)} above the threshold, the highest"
    start = "Rejected" if rejected else "Accepted, though there is a trace"
    return f"{start}: {where}{place} ({100 * worst.area:.1f} % of the image)."


def _centre(region: Region) -> str:
    left, top, right, bottom = region.box
    component = f" at the {region.component}" if region.component else ""
    return f"around pixel {(left + right) // 2}, {(top + bottom) // 2}{component}"
