"""WinCLIP against its paper's formulas written as loops."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from finegrain.backbones import PatchTokens, RemoteBackbone, encode, load_backbone
from finegrain.backbones.windows import cover, members, pooled
from finegrain.benchmark.grid import Grid
from finegrain.benchmark.plan import plan, resolve
from finegrain.benchmark.trial import Worker
from finegrain.checkpoint import load_detector, save_detector
from finegrain.decision.calibrate import calibrate
from finegrain.detectors import make_detector
from finegrain.detectors.maps import to_pixels
from finegrain.detectors.prompt_ensemble import ensemble
from finegrain.detectors.winclip import harmonic
from finegrain.errors import ConfigError, InputError
from finegrain.serving.config import ServingConfig
from finegrain.serving.scorer import Scorer
from tests.conftest import striped

GRID = (4, 5)


def unit(*shape, seed):
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(values, dim=-1)


def random_tokens(count, seed, ordinary=False):
    patches = unit(count, 20, 256, seed=seed)
    windows = unit(count, 12, 256, seed=seed + 1), unit(count, 6, 256, seed=seed + 2)
    last = 3 * unit(count, 20, 7, seed=seed + 3) if ordinary else None
    return PatchTokens(patches[:, 0], patches, (), GRID, windows, last)


@pytest.fixture(scope="module")
def detector(backbone):
    """Fitted on no shot; `remembering` gives it some."""
    options = {"object_name": "plate", "temperature": 5.0}
    return make_detector("winclip", backbone, options).fit([])


def places(scale):
    """The patches of each window, by nested loops."""
    return [
        [(row + i) * GRID[1] + column + j for i in range(scale) for j in range(scale)]
        for row in range(GRID[0] - scale + 1)
        for column in range(GRID[1] - scale + 1)
    ]


def slow_harmonic(scores, scale):
    return [
        1 / np.mean([1 / s for s, own in zip(scores, places(scale), strict=True) if patch in own])
        for patch in range(20)
    ]


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_windows_and_their_harmonic_means(scale):
    assert members(GRID, scale).tolist() == places(scale)
    scores = torch.rand(2, len(places(scale)), dtype=torch.float64) + 0.01
    expected = [slow_harmonic(row.tolist(), scale) for row in scores]
    np.testing.assert_allclose(harmonic(scores, cover(GRID, scale)), expected, rtol=1e-9)


def test_a_perfect_window_is_no_nan():
    scores = torch.tensor([[0.0, *[0.5] * 11]])
    found = harmonic(scores, cover(GRID, 2))
    assert found.isfinite().all()
    assert found[0, 0] < 1e-6
    torch.testing.assert_close(found[0, 4], torch.tensor(0.5))


def test_pooled_windows_are_means():
    patches = unit(2, 20, 6, seed=0)
    for scale, found in zip((2, 3), pooled(patches, GRID, (2, 3)), strict=True):
        means = torch.stack([patches[:, own].mean(1) for own in places(scale)], 1)
        torch.testing.assert_close(found, torch.nn.functional.normalize(means, dim=-1))


def test_no_window_fits_a_grid_that_is_smaller():
    with pytest.raises(ConfigError, match=r"window of 5 patches .* grid of 4 x 5"):
        members(GRID, 5)


@pytest.mark.parametrize("ordinary", [False, True])
def test_scores_are_the_papers(detector, ordinary):
    shots, tokens = random_tokens(2, 10, ordinary), random_tokens(1, 50, ordinary)
    sound, faulty = detector.normal, detector.abnormal

    def ascore(feature):
        sides = np.exp([5 * float(feature @ sound), 5 * float(feature @ faulty)])
        return sides[1] / sides.sum()

    def distance(feature, memory):
        cosines = torch.nn.functional.cosine_similarity(feature, memory.flatten(0, 1), dim=-1)
        return float(0.5 * (1 - cosines).min())

    image = ascore(tokens.image[0])
    words = [
        slow_harmonic([ascore(f) for f in window[0]], scale)
        for scale, window in zip((2, 3), tokens.windows, strict=True)
    ]
    language = 3 / (1 / image + 1 / np.array(words[0]) + 1 / np.array(words[1]))
    own = "ordinary" if ordinary else "patches"
    seen = [[distance(f, getattr(shots, own)) for f in getattr(tokens, own)[0]]]
    for scale, window, memory in zip((2, 3), tokens.windows, shots.windows, strict=True):
        seen.append(slow_harmonic([distance(f, memory) for f in window[0]], scale))
    association = np.mean(seen, 0)

    prediction = detector.remembering(shots).score(tokens)
    np.testing.assert_allclose(
        prediction.image_scores, [(image + association.max()) / 2], rtol=1e-4
    )
    expected = to_pixels(torch.tensor((language + association) / 2)[None], GRID)
    np.testing.assert_allclose(prediction.anomaly_maps, expected, rtol=1e-4)
    alone = detector.score(tokens)
    np.testing.assert_allclose(alone.image_scores, [image], rtol=1e-4)
    expected = to_pixels(torch.tensor(language)[None], GRID)
    np.testing.assert_allclose(alone.anomaly_maps, expected, rtol=1e-4)


def test_prototypes_are_mean_features(detector):
    sound, faulty = ensemble("plate")
    some = detector.backbone.encode_text(sound).mean(0)
    torch.testing.assert_close(detector.normal, some / some.norm())
    assert len(faulty) == 88
    assert not torch.allclose(detector.normal, detector.abnormal)


def test_the_ensemble_is_states_within_templates():
    sound, faulty = ensemble("metal nut")
    assert (len(sound), len(faulty)) == (7 * 22, 4 * 22)
    assert len({*sound, *faulty}) == 11 * 22
    assert "a cropped photo of the flawless metal nut." in sound
    assert "a photo of a metal nut with defect for visual inspection." in faulty


def test_tokens_without_their_windows_are_refused(detector):
    tokens = random_tokens(1, 0)
    bare = PatchTokens(tokens.image, tokens.patches, (), GRID)
    with pytest.raises(ConfigError, match=r"needs windows of \(2, 3\) .*the tokens have none"):
        detector.score(bare)
    fewer = PatchTokens(tokens.image, tokens.patches, (), GRID, tokens.windows[:1])
    with pytest.raises(ConfigError, match=r"\[12, 6\] of them; the tokens have \[12\]"):
        detector.remembering(fewer)


def test_a_backbone_without_text_and_wrong_options_are_refused(backbone):
    with pytest.raises(ConfigError, match="efficientnet_lite1 does not; take a CLIP"):
        make_detector("winclip", load_backbone("efficientnet_lite1"), {"object_name": "plate"})
    with pytest.raises(ConfigError, match="needs object_name"):
        make_detector("winclip", backbone)
    with pytest.raises(ConfigError, match="temperature must be positive"):
        make_detector("winclip", backbone, {"object_name": "plate", "temperature": -1})
    with pytest.raises(ConfigError, match="scales are different sides"):
        make_detector("winclip", backbone, {"object_name": "plate", "scales": [2, 2]})


def test_it_scores_tokens_encoded_elsewhere(detector, backbone, tmp_path):
    fitted = detector.remembering(random_tokens(2, 3))
    save_detector(fitted, tmp_path / "c", dataset="d", category="c", shots=[])
    remote = RemoteBackbone(backbone.name, backbone.weights_hash)
    tokens = random_tokens(2, 9)
    again = load_detector(tmp_path / "c", remote).score(tokens)
    assert (again.anomaly_maps == fitted.score(tokens).anomaly_maps).all()
    with pytest.raises(ConfigError, match="give temperature"):
        make_detector("winclip", remote, {"object_name": "plate"})


def test_it_is_calibrated_on_its_shots(detector):
    shots = random_tokens(2, 3)
    thresholds = calibrate(detector.remembering(shots), shots, [shots[:1], shots[1:]])
    assert 0 < thresholds.pixel < 1
    assert 0 < thresholds.image < 1


def test_a_trial_without_a_shot(plates, tmp_path):
    grid = {"dataset": "folder", "data_root": plates, "categories": ["plate_a"]}
    asked = Grid(methods=["winclip"], shots=[0, 1], seeds=[0], **grid)
    trials = plan(resolve(asked, beside=plates))
    assert [trial.options["object_name"] for trial in trials] == ["plate a"] * 2
    threads = torch.get_num_threads()
    worker = Worker("cpu", threads=1)
    none, one = (worker.run(trial, tmp_path / trial.name) for trial in trials)
    torch.set_num_threads(threads)
    assert (none.status, one.status) == ("ok", "ok")
    assert none.scores.image_auroc is not None
    assert (none.support, none.false_alarms, none.detected) == ((), None, None)
    assert one.false_alarms is not None
    assert load_detector(none.checkpoint, load_backbone("bundled")).memory == ()
    with pytest.raises(ConfigError, match=r"patchcore can't be fitted on 0 shots; .* winclip can"):
        resolve(Grid(methods=["patchcore", "winclip"], shots=[0], **grid), beside=plates)


def test_serving_refuses_it(detector, backbone, tmp_path):
    save_detector(detector, tmp_path / "c", dataset="d", category="c", shots=[])
    champion = SimpleNamespace(version="1", earlier=(), key="d/c", false_alarms=None)
    registry = SimpleNamespace(
        champion=lambda *_: champion, fetch=lambda *_: tmp_path / "c", champions=dict
    )
    threads = torch.get_num_threads()
    config = ServingConfig(cache=tmp_path, poll_seconds=60)
    identity = (backbone.name, backbone.weights_hash)
    scorer = Scorer(registry, identity, lambda _: None, config)
    try:
        with pytest.raises(InputError, match="winclip needs windows"):
            scorer.open("d/c")
    finally:
        scorer.close()
        torch.set_num_threads(threads)


def test_windows_come_from_the_pass_of_the_image(backbone):
    image, _ = striped(np.random.default_rng(0))
    windows = make_detector("winclip", backbone, {"object_name": "plate"}).windows
    whole, plain = encode(backbone, [image] * 3, 2, windows), encode(backbone, [image])
    assert [window.shape for window in whole.windows] == [(3, 196, 256), (3, 169, 256)]
    assert plain.windows == ()
    torch.testing.assert_close(whole.patches[:1], plain.patches, atol=1e-5, rtol=1e-4)
    assert [window.shape[0] for window in whole[1:].windows] == [2, 2]
