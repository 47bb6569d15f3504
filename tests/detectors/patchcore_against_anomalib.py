"""Our PatchCore, and our metrics, against anomalib's; run with the extra installed.

    python -m tests.detectors.patchcore_against_anomalib ROOT CATEGORY

Both see the same EfficientNet-Lite1 weights, levels, size and shots. They differ in choices that
the paper leaves open. A PatchCore with those as switches is our detector at one end and anomalib's
at the other, both of which is checked, and every step between shows what one choice is worth.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from finegrain.backbones import encode, load_backbone
from finegrain.backbones.efficientnet import MEAN, STD, pretrained_tower
from finegrain.backbones.pixels import Pixels
from finegrain.data import load_category
from finegrain.data.images import read_rgb
from finegrain.data.shots import select_shots
from finegrain.detectors import Prediction, make_detector
from finegrain.detectors.maps import MAP_SIZE, to_pixels
from finegrain.evaluation.evaluate import TestSet, load_test_set, score_all
from finegrain.evaluation.metrics import curves, evaluate_images, evaluate_pixels, image_curve

SIZE, LEVELS = 240, ["blocks.2", "blocks.4", "blocks.6"]
OPTIONS = {
    "arguments": {"backbone": "tf_efficientnet_lite1", "layers": LEVELS},
    "weights": "efficientnet_lite1",
    "image_size": SIZE,
}


Rows = dict[str, dict[int, list[tuple[float, float]]]]  # label -> K -> AUROCs of each draw


@dataclass(frozen=True)
class Choices:
    """Where the two differ; the defaults are ours."""

    resize: Image.Resampling = Image.Resampling.BICUBIC
    mean: tuple[float, ...] = (MEAN,) * 3
    std: tuple[float, ...] = (STD,) * 3
    count_padding: bool = False  # as zeros in the neighbourhood of patches at the border
    pool_levels: bool = False  # each level over its own neighbourhood; else once they are joined
    finest_grid: bool = False  # join on the grid of stride 8; else of stride 16
    nearest_map: bool = False  # patches as blocks, blurred at SIZE; else bilinear, at MAP_SIZE


STEPS = (
    ("resized bilinearly, not bicubically", {"resize": Image.Resampling.BILINEAR}),
    (
        "ImageNet mean and std, not (x-127)/128",
        {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
    ),
    ("padding counted in neighbourhoods", {"count_padding": True}),
    ("neighbourhoods of each level, not of the joined", {"pool_levels": True}),
    ("joined on the finest grid, stride 8 not 16", {"finest_grid": True}),
    ("map of blocks, sigma 4 at 240 px not 400", {"nearest_map": True}),
)


class Switched:
    """PatchCore with Choices, on the unfolded tower, with the whole bank."""

    def __init__(self, choices: Choices, tower: torch.nn.Module) -> None:
        self.choices, self.tower = choices, tower

    def features(self, images: Sequence[np.ndarray]) -> torch.Tensor:  # -> (B,W,h,w)
        return torch.cat([self._features(image) for image in images])

    @torch.no_grad()
    def _features(self, image: np.ndarray) -> torch.Tensor:
        small = Image.fromarray(image).resize((SIZE, SIZE), self.choices.resize)
        pixels = torch.from_numpy(np.array(small)).permute(2, 0, 1)[None] / 255
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (self.choices.mean, self.choices.std))
        levels = self.tower((pixels - mean) / std)
        if self.choices.pool_levels:
            levels = [self._averaged(level) for level in levels]
        grid = levels[0 if self.choices.finest_grid else 1].shape[-2:]
        joined = torch.cat([on_grid(level, grid) for level in levels], 1)
        return joined if self.choices.pool_levels else self._averaged(joined)

    def _averaged(self, level: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(level, 3, 1, 1, count_include_pad=self.choices.count_padding)

    def score(self, shots: torch.Tensor, test: torch.Tensor) -> Prediction:
        bank = shots.permute(0, 2, 3, 1).flatten(0, 2)
        scored = [self._score(bank, one.flatten(1).T) for one in test]
        patches = torch.stack([patch for patch, _ in scored])
        return Prediction(
            np.array([float(image) for _, image in scored], dtype=np.float32),
            self._maps(patches, (test.shape[2], test.shape[3])).numpy(),
        )

    def _score(self, bank: torch.Tensor, patches: torch.Tensor) -> tuple[torch.Tensor, float]:
        distances = torch.cdist(patches, bank)
        nearest = distances.min(1)
        worst = nearest.values.argmax()
        around = torch.cdist(bank[nearest.indices[worst]][None], bank)[0].topk(9, largest=False)
        to_around = distances[worst, around.indices].double()
        weight = 1 - torch.softmax(to_around, 0)[0]
        return nearest.values, float(weight * nearest.values[worst])

    def _maps(self, patches: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        if not self.choices.nearest_map:
            return to_pixels(patches, grid)
        blocks = F.interpolate(patches.view(-1, 1, *grid), (SIZE, SIZE))
        reach = torch.arange(-16, 17)
        bell = torch.exp(-(reach**2) / (2 * 4.0**2))
        kernel = torch.outer(bell, bell) / bell.sum() ** 2
        blurred = F.conv2d(F.pad(blocks, (16,) * 4, mode="reflect"), kernel[None, None])
        return F.interpolate(blurred, (MAP_SIZE, MAP_SIZE), mode="bilinear")[:, 0]


def on_grid(level: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    if level.shape[-2] > grid[0]:
        return F.adaptive_avg_pool2d(level, grid)
    return F.interpolate(level, grid, mode="bilinear")


def aurocs(prediction: Prediction, test: TestSet) -> tuple[float, float]:
    """Image and pixel AUROC in percent."""
    maps, masks = prediction.anomaly_maps, test.masks
    pixels = curves(maps[masks], maps[~masks], np.ones(masks.sum()))[0]
    return 100 * image_curve(prediction.image_scores, test.labels).auroc(), 100 * pixels.auroc()


def difference(first: Prediction, second: Prediction) -> float:
    """The largest of image scores and maps, relative to the range of either."""
    pairs = (
        (first.image_scores, second.image_scores),
        (first.anomaly_maps, second.anomaly_maps),
    )
    return max(float(np.abs(a - b).max() / np.ptp(a)) for a, b in pairs)


def compare(root: Path, name: str, shots: Sequence[int], seeds: Sequence[int]) -> None:
    """Print the lined-up table of all steps, then the metrics of both sides."""
    category = load_category("folder", root, name)
    test_images = [read_rgb(sample.path) for sample in category.test]
    ours = load_backbone("efficientnet_lite1")
    test, pixels = load_test_set(category, ours), encode(Pixels("cpu", SIZE), test_images)
    tower = pretrained_tower()
    chain = [("our PatchCore", Choices())]
    for label, change in STEPS:
        chain.append((f"+ {label}", replace(chain[-1][1], **change)))
    rows: Rows = {}
    apart: dict[str, float] = {}

    def note(label: str, count: int, prediction: Prediction) -> None:
        rows.setdefault(label, {}).setdefault(count, []).append(aurocs(prediction, test))

    drawn = {
        (count, seed): [read_rgb(path) for path in select_shots(category, count, seed)]
        for count in shots
        for seed in seeds
    }
    ends: dict[tuple[str, int, int], Prediction] = {}
    for label, choices in chain:
        model = Switched(choices, tower)
        features = model.features(test_images)
        for (count, seed), images in drawn.items():
            prediction = model.score(model.features(images), features)
            note(label, count, prediction)
            if label in (chain[0][0], chain[-1][0]):
                ends[label, count, seed] = prediction
    for (count, seed), images in drawn.items():
        real = score_all(
            make_detector("patchcore", ours, {"levels": None}, seed=seed).fit(images), test.tokens
        )
        apart["ours"] = max(apart.get("ours", 0), difference(real, ends[chain[0][0], count, seed]))
        for label, ratio in (("whole bank", 1.0), ("coreset of 10 %, its default", 0.1)):
            arguments = {**OPTIONS["arguments"], "coreset_sampling_ratio": ratio}
            options = {**OPTIONS, "arguments": arguments}
            theirs = make_detector("anomalib:patchcore", Pixels("cpu", SIZE), options, seed=seed)
            prediction = score_all(theirs.fit(images), pixels)
            note(f"anomalib's Patchcore, {label}", count, prediction)
            if ratio == 1.0:
                far = difference(prediction, ends[chain[-1][0], count, seed])
                apart["anomalib's"] = max(apart.get("anomalib's", 0), far)
    show(rows, shots, len(seeds))
    print("\nLargest difference of scores or maps from the switched PatchCore, relative to range:")
    print(", ".join(f"{side} {value:.1e}" for side, value in apart.items()))
    metrics(prediction, test)


def show(rows: Rows, shots: Sequence[int], n: int) -> None:
    """The table."""
    print(f"Image / pixel AUROC, mean of {n} draws")
    width = max(map(len, rows))
    print(" " * width, *(f"   {count}-shot    " for count in shots))
    for label, found in rows.items():
        cells = [np.mean(found[count], axis=0) for count in shots]
        print(label.ljust(width), *(f"{image:6.2f} / {pixel:5.2f}" for image, pixel in cells))


def metrics(prediction: Prediction, test: TestSet) -> None:
    """Our metrics and anomalib's on the same scores.

    They are put between 0 and 1 first, as anomalib's own post-processing does: outside, its AUROC
    takes them for logits, and the sigmoid makes all large ones equal.
    """
    from anomalib.metrics.aupro import _AUPRO
    from anomalib.metrics.auroc import _AUROC

    maps, images = (
        between_0_and_1(prediction.anomaly_maps),
        between_0_and_1(prediction.image_scores),
    )
    masks, labels = torch.from_numpy(test.masks), torch.from_numpy(test.labels)
    ours = evaluate_images(images.numpy(), test.labels) | evaluate_pixels(maps.numpy(), test.masks)
    pairs = {
        "image_auroc": (_AUROC(), images, labels.int()),
        "pixel_auroc": (_AUROC(), maps.flatten(), masks.flatten().int()),
        "aupro_30": (_AUPRO(fpr_limit=0.3), maps, masks.int()),
        "aupro_05": (_AUPRO(fpr_limit=0.05), maps, masks.int()),
    }
    print("\nmetric        ours       anomalib   difference")
    for name, (metric, scores, truth) in pairs.items():
        metric.update(scores, truth)
        theirs = float(metric.compute())
        print(f"{name:12} {ours[name]:.6f}   {theirs:.6f}   {ours[name] - theirs:+.1e}")


def between_0_and_1(scores: np.ndarray) -> torch.Tensor:
    return torch.from_numpy((scores - scores.min()) / np.ptp(scores))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="folder of the category, in the MVTec-AD layout")
    parser.add_argument("category")
    parser.add_argument("--shots", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    args = parser.parse_args()
    compare(args.root, args.category, args.shots, args.seeds)


if __name__ == "__main__":
    main()
