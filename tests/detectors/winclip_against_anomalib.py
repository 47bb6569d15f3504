"""WinCLIP here against anomalib's: time an image, and maps, on the same random ViT-B-16-plus-240.

    python -m tests.detectors.winclip_against_anomalib --threads 1

It needs a Python with anomalib and open_clip, apart from .venv, and platform/ on PYTHONPATH. No
weights are downloaded: time does not depend on them, and agreement has to hold for any.

anomalib 2.7 hands its windows to open_clip's transformer with the axes of windows and tokens
swapped, as open_clip 2 wanted them: under open_clip 3 a token then attends to the same place of all
windows, not to its window. So it is compared as it is, and with its axes turned back.
"""

import argparse
import copy
import statistics
import sys
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.timing import interleaved
from finegrain.backbones.clip.openclip import OpenClip, build_model
from finegrain.detectors import make_detector
from tests.backbones.conftest import shaken
from tests.conftest import striped

NAME, OBJECT = "ViT-B-16-plus-240", "metal plate"
ISOLATED, SHARED, TURNED = "here, isolated", "here, shared", "anomalib, turned"


class Turned(torch.nn.Module):
    """A transformer that takes tokens before windows."""

    def __init__(self, transformer):
        super().__init__()
        self.transformer = transformer

    def forward(self, x):
        return self.transformer(x.transpose(0, 1)).transpose(0, 1)


def anomalib_model(model, shot, turned):
    """anomalib's WinCLIP around the given CLIP, fitted on one shot."""
    from anomalib.models.image.winclip import torch_model

    with mock.patch.object(
        torch_model.open_clip, "create_model_and_transforms", return_value=(model, None, None)
    ):
        winclip = torch_model.WinClipModel(OBJECT).eval()
    if turned:
        visual, windows_of = model.visual, winclip._get_window_embeddings

        def right_way(feature_map, masks):
            kept, visual.transformer = visual.transformer, Turned(visual.transformer)
            try:
                return windows_of(feature_map, masks)
            finally:
                visual.transformer = kept

        winclip._get_window_embeddings = right_way
    winclip.setup(reference_images=shot)
    return winclip


def ours(clip, shot, shared):
    detector = make_detector(
        "winclip", clip, {"object_name": OBJECT, "shared": shared, "temperature": 1 / 0.07}
    )
    detector.fit_tokens(clip.encode_images(shot, detector.windows))
    return detector


def reading_the_same(detector, winclip):
    """The detector with anomalib's prototypes: means of features that are not brought to norm 1."""
    other = copy.copy(detector)
    other.normal, other.abnormal = F.normalize(winclip.text_embeddings, dim=-1)
    return other


def correlation(one, other):
    return float(np.corrcoef(np.ravel(one), np.ravel(other))[0, 1])


def compare(clip, pixels, detectors, theirs):
    """Print how features and maps of the images agree."""
    tokens = {name: clip.encode_images(pixels, d.windows) for name, d in detectors.items()}
    for scale, one, other in zip(
        (2, 3), tokens[ISOLATED].windows, tokens[SHARED].windows, strict=True
    ):
        cosine = F.cosine_similarity(one, other, dim=-1).mean()
        centred = correlation(one - one.mean((0, 1)), other - other.mean((0, 1)))
        print(
            f"  windows of {scale}: shared to isolated, cosine {cosine:.4f}, centred {centred:.4f}"
        )
    found = {name: d.patch_scores(tokens[name]) for name, d in detectors.items()}
    same = reading_the_same(detectors[ISOLATED], next(iter(theirs.values())))
    found["here, its prompts"] = same.patch_scores(tokens[ISOLATED])
    maps = {
        name: F.interpolate(maps.view(-1, 1, 15, 15), 240, mode="bilinear")[:, 0]
        for name, (_, maps) in found.items()
    }
    scores = {name: image for name, (image, _) in found.items()}
    for name, model in theirs.items():
        seen = model(pixels)
        maps[name], scores[name] = seen.anomaly_map, seen.pred_score
    for name in maps:
        each = [correlation(a, b) for a, b in zip(maps[TURNED], maps[name], strict=True)]
        away = float((scores[name] - scores[TURNED]).abs().max())
        print(f"  {name:17} maps to {TURNED}: mean {statistics.mean(each):.6f}, "
              f"least {min(each):.6f}; image scores differ by {away:.1e} at most")  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, help="[1]")
    parser.add_argument("--rounds", type=int, default=3, help="of each call, after one [3]")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model = shaken(build_model(NAME))
    clip = OpenClip(NAME, model, device="cpu", dtype=torch.float32)
    rng = np.random.default_rng(0)
    shot = clip.preprocess([striped(rng)[0]])
    pixels = clip.preprocess([striped(rng, defect=True)[0] for _ in range(3)])
    detectors = {ISOLATED: ours(clip, shot, False), SHARED: ours(clip, shot, True)}
    try:
        theirs = {
            "anomalib": anomalib_model(model, shot, False),
            TURNED: anomalib_model(model, shot, True),
        }
    except ImportError as error:
        print(f"error: {error}; install anomalib and open_clip_torch", file=sys.stderr)
        return 2
    print(f"{NAME}, float32, CPU, {args.threads} threads, one shot")
    with torch.no_grad():
        compare(clip, pixels, detectors, theirs)
        one = pixels[:1]
        calls = {
            "open_clip": lambda: model.encode_image(one),
            "here, no windows": lambda: clip.encode_images(one),
            **{
                name: lambda d=d: d.score(clip.encode_images(one, d.windows))
                for name, d in detectors.items()
            },
            **{name: lambda m=m: m(one) for name, m in theirs.items()},
        }
        timing = interleaved(calls, args.rounds, "cpu")
    for name, seconds in timing.seconds.items():
        times, faster = timing.ratio(name, "open_clip"), timing.ratio("anomalib", name)
        print(f"  {name:17} {1000 * seconds:7.0f} ms, {times:5.2f} x open_clip's encoder, "
              f"{faster:5.2f} x as fast as anomalib")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
