"""The training loop of the bundled model, free of any cluster: settings in, epochs out.

Everything random in epoch e follows from (seed, e, step), so a run resumed at an epoch's end gives
the weights of an uninterrupted one.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from finegrain.backbones.clip.grounded import GroundedConfig, GroundedModel
from finegrain.backbones.clip.image_heads import HeadConfig
from finegrain.backbones.clip.text_tower import UNKNOWN_ROW, TextConfig
from finegrain.backbones.clip.word_pieces import tokenize
from finegrain.pretraining.cache import KINDS, EncodedScenes, batches
from finegrain.pretraining.captions import (
    SWAPS,
    background_caption,
    component_caption,
    quiz,
    scene_caption,
)
from finegrain.pretraining.config import PretrainingConfig
from finegrain.pretraining.drafting import draft_scene
from finegrain.pretraining.lessons import make_lesson
from finegrain.pretraining.states import generic_pair, kind_sentence
from finegrain.pretraining.steps import UNSEEN_TOKEN, WEIGHTS, Pretraining

DRAFTS_FOR_WORDS = 4000  # every phrase of the vocabulary occurs among the captions of so many


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to."""

    number: int  # from 1
    losses: dict[str, float]  # means over the epoch, unweighted
    seconds: float


def training_sentences(drafts: int) -> list[str]:
    """A sample of every kind of caption."""
    texts: list[str] = []
    for seed in range(drafts):
        rng = np.random.default_rng([3, seed])
        facts = draft_scene(rng).facts
        texts += [scene_caption(facts, rng).text, background_caption(facts, rng).text]
        texts += [component_caption(part, rng).text for part in facts.parts]
        texts += [s.text for s in quiz(tuple(SWAPS)[seed % len(SWAPS)], rng)]
        texts += [*generic_pair(rng), kind_sentence(KINDS[seed % len(KINDS)], rng)]
    return texts


@cache
def known_tokens() -> torch.Tensor:
    """The sorted CLIP token ids of all words that the captions use."""
    ids: torch.Tensor = torch.unique(tokenize(training_sentences(DRAFTS_FOR_WORDS)))
    return ids[ids != UNSEEN_TOKEN]


def new_model(sample: EncodedScenes, seed: int) -> GroundedModel:
    """An untrained model that knows the captions' words and the features' means and spreads."""
    tokens = known_tokens()
    width = sample.features.shape[-1]
    config = GroundedConfig(HeadConfig(width=width), TextConfig(len(tokens) + UNKNOWN_ROW + 1))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = GroundedModel(config)
    model.text.know(tokens)
    model.patches.standardise(sample.features[:256])
    return model


class Trainer:
    """A model with its optimiser and schedule; `state` and `restore` carry all three."""

    def __init__(
        self,
        model: GroundedModel,
        settings: PretrainingConfig,
        *,
        wrap: Callable[[nn.Module], nn.Module] = lambda module: module,
    ) -> None:
        self.model, self.settings = model, settings
        self.step_module = wrap(Pretraining(model))
        self.optimizer = torch.optim.AdamW(_groups(model, settings.weight_decay))
        self.steps_per_epoch = settings.scenes // settings.batch_size
        if self.steps_per_epoch == 0:
            raise ValueError(f"{settings.scenes} scenes are less than a batch")
        self.schedule = OneCycleLR(
            self.optimizer,
            settings.peak_lr,
            total_steps=self.steps_per_epoch * settings.epochs + 1,
            pct_start=0.1,
        )
        self.done = 0  # epochs

    def epochs(self, scenes: EncodedScenes, rank: int = 0, workers: int = 1) -> Iterator[Epoch]:
        """Train to the last epoch, yielding after each; worker `rank` sees its share of a batch."""
        share = self.settings.batch_size // workers
        device = self.model.log_scale.device
        while self.done < self.settings.epochs:
            start = time.perf_counter()
            order = torch.Generator().manual_seed(self._seed(0))
            sums = torch.zeros(len(WEIGHTS))
            for step, rows in enumerate(batches(len(scenes), self.settings.batch_size, order)):
                batch = scenes.subset(rows[rank * share : (rank + 1) * share])
                seed = self._seed(1 + step * workers + rank)
                sums += self._step(batch, seed, device)
            self.done += 1
            means = (sums / self.steps_per_epoch).tolist()
            yield Epoch(
                self.done, dict(zip(WEIGHTS, means, strict=True)), time.perf_counter() - start
            )

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on from here."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "done": self.done,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state` of the same settings."""
        self.model.load_state_dict(state["model"])
        self.model.text.know(self.model.text.token_ids.clone())
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.done = state["done"]

    def _step(self, batch: EncodedScenes, seed: int, device: torch.device) -> torch.Tensor:
        lesson = make_lesson(batch, seed).to(device)
        words = torch.Generator().manual_seed(seed)
        losses = self.step_module(batch.features.to(device).float(), lesson, words)
        weights = torch.tensor(list(WEIGHTS.values()), device=device)
        self.optimizer.zero_grad()
        (losses * weights).sum().backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        return losses.detach().cpu()  # type: ignore[no-any-return]

    def _seed(self, offset: int) -> int:
        return int(
            np.random.SeedSequence([self.settings.seed, self.done, offset]).generate_state(1)[0]
        )


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay; biases, norms, positions' rows and the temperature do not."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
