"""What serving costs beyond the computation itself: `make bench-serve`."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median

import numpy as np
import psutil
import torch

from benchmarks.load import closed_loop, open_loop, taken_in_turn
from finegrain.backbones import load_backbone
from finegrain.checkpoint import load_detector, read_config
from finegrain.decision import decide
from finegrain.serving.client import AsyncClient
from finegrain.serving.config import ServingConfig
from finegrain.serving.encoder import Encoder
from finegrain.serving.examples import EXAMPLES, example_png
from finegrain.serving.local import served
from finegrain.serving.messages import Refusal
from finegrain.serving.precision import load_serving_backbone
from finegrain.tracking import Registry

Tell = Callable[[str], None]
REPLICAS = ("Ingress", "Encoder", "Scorer", "Captions")


def bench_serve(config: ServingConfig, *, seconds: float, requests: int, tell: Tell) -> None:
    """Measure one client, saturation, overload and memory, each against the bare computation.

    Args:
        config: of the application; one encoder replica, so that cores compare.
        seconds: of overload.
        requests: of the memory run.
        tell: takes each line.
    """
    images = factory_examples(config)
    turns = taken_in_turn(images)
    torch.set_num_threads(max(1, int(config.encoder_cpus)))  # as the encoder replica does
    direct_ms = direct(config, images)
    alone = encoder_alone(config, [image for _, (image,) in turns])
    tell(f"in this process: {direct_ms:.1f} ms an image from file to verdict (median)")
    tell(f"encoder alone, batches of {config.max_batch_images}: {alone:.1f} images/s")
    with served(config) as address:
        asyncio.run(_measured(address, turns, direct_ms, alone, seconds, requests, tell))


async def _measured(
    address: str,
    turns: Sequence[tuple[str, list[bytes]]],
    direct_ms: float,
    alone: float,
    seconds: float,
    requests: int,
    tell: Tell,
) -> None:
    async with AsyncClient(address, retries=0) as client:
        await closed_loop(client, turns, clients=2, count=len(turns))  # loads every detector
        one = await closed_loop(client, turns, clients=1, count=60)
        p50 = median(one.latency_ms)
        tell(f"\none client: p50 {p50:.1f} ms, {p50 - direct_ms:+.1f} ms\n{one.text()}")
        full = await closed_loop(client, turns, clients=24, count=600)
        share = full.images_per_second / alone
        tell(f"\nsaturated: {100 * share:.0f} % of the encoder alone\n{full.text()}")
        eights = [(category, images * 8) for category, images in turns]
        many = await closed_loop(client, eights, clients=4, count=100)
        share = many.images_per_second / alone
        tell(f"\nsaturated, 8 images a request: {100 * share:.0f} %\n{many.text()}")
        capacity = full.images_per_second
        before = resident_mib()
        over = await open_loop(client, turns, per_second=3 * capacity, seconds=seconds)
        tell(f"\noverload, 3 x {capacity:.1f}/s for {seconds:.0f} s\n{over.text()}")
        tell(_memory(before, resident_mib()))
        before = resident_mib()
        await closed_loop(client, turns, clients=8, count=requests)
        tell(f"\n{requests} requests\n{_memory(before, resident_mib())}")


def watch_scaling(config: ServingConfig, tell: Tell, *, seconds: float = 40) -> None:
    """Encoder replicas and throughput before, during and after a load, on two simulated nodes."""
    turns = taken_in_turn(factory_examples(config))
    with served(config, nodes=2) as address:
        asyncio.run(_scaled(address, turns, seconds, tell))


async def _scaled(
    address: str, turns: Sequence[tuple[str, list[bytes]]], seconds: float, tell: Tell
) -> None:
    from ray import serve

    def replicas() -> int:
        states = serve.status().applications["scoring"].deployments["Encoder"].replica_states
        return sum(count for state, count in states.items() if state == "RUNNING")

    async with AsyncClient(address, retries=0) as client:
        await closed_loop(client, turns, clients=2, count=len(turns))
        start = time.monotonic()
        while time.monotonic() - start < seconds:
            load = await closed_loop(client, turns, clients=24, count=96)
            passed = time.monotonic() - start
            tell(f"{passed:5.0f} s  {replicas()} encoders  {load.images_per_second:5.1f} images/s")
        for _ in range(12):
            await asyncio.sleep(5)
            tell(f"{time.monotonic() - start:5.0f} s  {replicas()} encoders  idle")
            if replicas() == 1:
                return


def factory_examples(config: ServingConfig) -> dict[str, list[bytes]]:
    """The examples of the factory's categories that are served."""
    champions = Registry(config.tracking_uri).champions()
    return {
        f"factory/{category}": [example_png(category, name) for name in names[:4]]
        for category, names in EXAMPLES.items()
        if f"factory/{category}" in champions
    }


def direct(
    config: ServingConfig, images: Mapping[str, Sequence[bytes]], repeats: int = 40
) -> float:
    """Median milliseconds from a file's bytes to its verdict without any server."""
    category, contents = next(iter(images.items()))
    registry = Registry(config.tracking_uri)
    champion = registry.champions()[category]
    folder = registry.fetch(champion, champion.version, config.cache.expanduser())
    backbone = load_backbone(config.backbone, weights=config.backbone_weights)
    detector = load_detector(folder, backbone)
    thresholds = read_config(folder).thresholds
    encoder = Encoder(backbone, torch.get_num_threads())
    times = []
    for turn in range(repeats + 3):
        start = time.perf_counter()
        [prepared] = encoder.prepare([contents[turn % len(contents)]], preview=False)
        assert not isinstance(prepared, Refusal)
        [tokens] = encoder.encode([(prepared[1], None)])
        size = (prepared[0].width, prepared[0].height)
        decide(detector.score(tokens), thresholds, [size], units=detector.units, grid=tokens.grid)
        times.append(1000 * (time.perf_counter() - start))
    return median(times[3:])


def encoder_alone(config: ServingConfig, images: Sequence[bytes], batches: int = 12) -> float:
    """Images a second of the encoder in a tight loop, decoding included, after a warm-up."""
    encoder = Encoder(load_serving_backbone(config), torch.get_num_threads())
    size = config.max_batch_images
    times = []
    for turn in range(batches + 2):
        batch = [images[(turn * size + i) % len(images)] for i in range(size)]
        start = time.perf_counter()
        prepared = encoder.prepare(batch, preview=False)
        encoder.encode([(item[1], None) for item in prepared if not isinstance(item, Refusal)])
        times.append(time.perf_counter() - start)
    return size / median(times[2:])


def resident_mib() -> dict[str, float]:
    """Memory of the deployments' processes on this machine, by deployment."""
    found: dict[str, float] = {}
    for process in psutil.process_iter(["cmdline", "memory_info"]):
        title = " ".join(process.info["cmdline"] or ())
        for name in REPLICAS:
            if f"scoring:{name}" in title and "ray::" in title:
                size = process.info["memory_info"].rss / 2**20
                found[name] = found.get(name, 0.0) + size
    return found


def _memory(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    changes = (
        f"{name} {before[name]:.0f} -> {after.get(name, np.nan):.0f}" for name in sorted(before)
    )
    return f"memory in MiB: {', '.join(changes)}"
