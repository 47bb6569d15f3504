"""Load on a server: arrivals that do not wait for answers, and what came of them."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from finegrain.serving.client import AsyncClient, ScoringError
from finegrain.serving.schemas import ScoreAnswer
from finegrain.tables import markdown

STAGES = ("decode_ms", "encode_ms", "score_ms", "wait_ms", "total_ms")
PERCENTILES = (50, 95, 99)


@dataclass
class LoadReport:
    """What a load met: outcomes counted, latencies of the scored requests in milliseconds."""

    outcomes: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    latency_ms: list[float] = field(default_factory=list)
    stages: dict[str, list[float]] = field(default_factory=lambda: {s: [] for s in STAGES})
    images: int = 0
    seconds: float = 0.0

    def note(self, answer: ScoreAnswer, latency_ms: float) -> None:
        """Count a scored request."""
        self.outcomes["200"] += 1
        self.versions[answer.checkpoint.version] += 1
        self.latency_ms.append(latency_ms)
        self.images += len(answer.results)
        for stage in STAGES:
            self.stages[stage].append(getattr(answer.timing, stage))

    @property
    def images_per_second(self) -> float:
        """Scored images over the whole time, the last answers awaited."""
        return self.images / self.seconds if self.seconds else 0.0

    def text(self) -> str:
        """The report as a table and a line of outcomes."""
        rows = [("as the client saw it", self.latency_ms), *self.stages.items()]
        shown = [
            [name, *(f"{np.percentile(values, p):.1f}" for p in PERCENTILES)]
            for name, values in rows
            if values
        ]
        table = markdown(["milliseconds", *(f"p{p}" for p in PERCENTILES)], shown)
        counted = ", ".join(f"{count} x {what}" for what, count in sorted(self.outcomes.items()))
        return f"{table}\n{counted}; {self.images_per_second:.1f} images/s in {self.seconds:.0f} s"


async def open_loop(
    client: AsyncClient,
    requests: Sequence[tuple[str, Sequence[bytes]]],
    *,
    per_second: float,
    seconds: float,
    seed: int = 0,
    progress: Callable[[int], None] = lambda _sent: None,
) -> LoadReport:
    """Poisson arrivals, whatever becomes of the requests before.

    Args:
        client: with `retries=0`, so that refusals are counted.
        requests: category and images of each, taken in turn.
        per_second: mean rate of arrivals.
        seconds: for which requests are sent.
        seed: of the arrivals.
        progress: told the number sent so far.
    """
    generator = np.random.default_rng(seed)
    report, tasks, sent = LoadReport(), set(), 0
    start = time.perf_counter()
    due = 0.0
    while due < seconds:
        await asyncio.sleep(max(0.0, due - (time.perf_counter() - start)))
        task = asyncio.create_task(_ask(client, *requests[sent % len(requests)], report))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        sent += 1
        progress(sent)
        due += generator.exponential(1 / per_second)
    await asyncio.gather(*tasks)
    report.seconds = time.perf_counter() - start
    return report


async def closed_loop(
    client: AsyncClient,
    requests: Sequence[tuple[str, Sequence[bytes]]],
    *,
    clients: int,
    count: int,
) -> LoadReport:
    """`count` requests from as many clients, each of which waits for its answer."""
    report, left = LoadReport(), iter(range(count))
    start = time.perf_counter()

    async def one() -> None:
        for number in left:
            await _ask(client, *requests[number % len(requests)], report)

    await asyncio.gather(*(one() for _ in range(clients)))
    report.seconds = time.perf_counter() - start
    return report


async def _ask(
    client: AsyncClient, category: str, images: Sequence[bytes], report: LoadReport
) -> None:
    start = time.perf_counter()
    try:
        answer = await client.score(category, images)
    except ScoringError as error:
        report.outcomes[str(error.status or error.code)] += 1
    else:
        report.note(answer, 1000 * (time.perf_counter() - start))


def taken_in_turn(examples: Mapping[str, Sequence[bytes]]) -> list[tuple[str, list[bytes]]]:
    """Requests of one image each that change their category every time."""
    most = max(len(images) for images in examples.values())
    return [
        (category, [images[i % len(images)]])
        for i in range(most)
        for category, images in examples.items()
    ]
