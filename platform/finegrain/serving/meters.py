"""Where a server's measurements go."""

from urllib.parse import quote

from ray.serve import metrics

MILLISECONDS: list[float] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000]


class RayMeters:
    """Ray's metrics, which every node's agent shows to Prometheus."""

    def __init__(self) -> None:
        self._requests = metrics.Counter(
            "finegrain_requests",
            "Requests answered.",
            tag_keys=("category", "status", "version"),  # type: ignore[arg-type]
        )
        self._stages = metrics.Histogram(
            "finegrain_stage_ms", "Time of a stage.", boundaries=MILLISECONDS, tag_keys=("stage",)
        )
        self._in_flight = metrics.Gauge("finegrain_images_in_flight", "Scored or waiting for it.")
        self._drift = metrics.Gauge(
            "finegrain_drift_deviations",
            "Scores of accepted images against their calibration.",
            tag_keys=("category",),
        )
        self._refused = metrics.Gauge(
            "finegrain_champion_refused",
            "Whether the newest champion is refused.",
            tag_keys=("category",),
        )
        self._unusable = metrics.Counter(
            "finegrain_unusable_scores",
            "Requests whose scores are no finite numbers.",
            tag_keys=("category",),
        )

    def request(self, category: str, status: int, version: str) -> None:
        """Count an answered request."""
        tags = {"category": _ascii(category), "status": str(status), "version": version}
        self._requests.inc(tags=tags)

    def stage(self, name: str, milliseconds: float) -> None:
        """Note how long a stage took."""
        self._stages.observe(milliseconds, tags={"stage": name})

    def in_flight(self, images: int) -> None:
        """Note how many images are being scored or wait for it."""
        self._in_flight.set(images)

    def drift(self, category: str, deviations: float) -> None:
        """Note how far a category's accepted images lie from what its calibration expects."""
        self._drift.set(deviations, tags={"category": _ascii(category)})

    def refused(self, category: str, *, newest: bool) -> None:
        """Note whether a category's newest champion is refused, so that the one before answers."""
        self._refused.set(int(newest), tags={"category": _ascii(category)})

    def unusable(self, category: str) -> None:
        """Count a request whose scores are no finite numbers."""
        self._unusable.inc(tags={"category": _ascii(category)})


def _ascii(category: str) -> str:
    """Ray takes no other tags."""
    return quote(category)
