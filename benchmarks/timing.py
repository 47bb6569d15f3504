"""What both paths and truncated prompts cost, against open_clip's own encoders in the same run."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from finegrain.backbones.clip.frozen_clip import end_positions
from finegrain.backbones.clip.openclip import OpenClip, build_model

SENTENCES = tuple(
    f"a photo of a {shape} {colour} {part} without defect"
    for colour in ("black", "silver", "green")
    for shape in ("round", "long", "flat", "thin", "square")
    for part in ("capacitor", "solder joint", "lead", "printed label")
)


@dataclass(frozen=True)
class Timing:
    """Median seconds of each call over interleaved rounds, so that noise hits all alike."""

    seconds: Mapping[str, float]

    def ratio(self, name: str, to: str) -> float:
        """How much longer the one takes than the other."""
        return self.seconds[name] / self.seconds[to]


def interleaved(calls: Mapping[str, Callable[[], Any]], rounds: int, device: str) -> Timing:
    """Call each once to warm up, then all in turn `rounds` times."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            _wait(device)
            start = time.perf_counter()
            call()
            _wait(device)
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return Timing({name: statistics.median(found) for name, found in seconds.items()})


def time_images(clip: OpenClip, batch_size: int, rounds: int) -> Timing:
    """`both` paths and memories against open_clip's `encode_image`, which gives a class token."""
    pixels = torch.randn(
        batch_size, 3, clip.image_size, clip.image_size, device=clip.device, dtype=clip.dtype
    )
    calls = {
        "both": lambda: clip.encode_images(pixels),
        "open_clip": lambda: clip.model.encode_image(pixels, normalize=True),
    }
    with torch.no_grad():
        return interleaved(calls, rounds, clip.device.type)


def time_prompts(clip: OpenClip, rounds: int) -> Timing:
    """60 prompts `cut` at the longest against 77 tokens and open_clip; and with a backward pass."""
    ids = clip.tokenize(SENTENCES)
    ends, embeddings = end_positions(ids), clip.embed_tokens(ids)
    padded = torch.full_like(ends, ids.shape[1] - 1)

    def learn(places: torch.Tensor) -> None:
        leaf = embeddings.clone().requires_grad_()
        clip.encode_prompts(leaf, places).sum().backward()  # type: ignore[no-untyped-call]

    with torch.no_grad():
        forward = interleaved(
            {
                "cut": lambda: clip.encode_prompts(embeddings, ends),
                "77": lambda: clip.encode_prompts(embeddings, padded),
                "open_clip": lambda: clip.model.encode_text(ids, normalize=True),
            },
            rounds,
            clip.device.type,
        )
    backward = interleaved(
        {"cut, backward": lambda: learn(ends), "77, backward": lambda: learn(padded)},
        rounds,
        clip.device.type,
    )
    return Timing({**forward.seconds, **backward.seconds})


def untrained(name: str, device: str, dtype: torch.dtype) -> OpenClip:
    """The named architecture with random weights: time does not depend on them."""
    return OpenClip(name, build_model(name), device=device, dtype=dtype)


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
