"""What every detector must do, and each against its paper's formula written slowly."""

import json
from dataclasses import fields

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.ndimage import gaussian_filter

from finegrain.backbones import PatchTokens, RemoteBackbone, encode
from finegrain.backbones.windows import pooled
from finegrain.checkpoint import load_detector, read_config, save_detector
from finegrain.data.shots import Shot
from finegrain.decision import Thresholds
from finegrain.detectors import DETECTORS, make_detector
from finegrain.detectors.maps import to_pixels
from finegrain.detectors.patchcore import greedy_coreset, locally_aware
from finegrain.errors import CheckpointError, ConfigError
from finegrain.method.config import MemoryConfig, MethodConfig
from finegrain.method.paper import PAPER
from tests.conftest import PLATE, bundled, striped

GRID = (4, 5)
OPTIONS = {
    "finegrained": {"caption": PLATE, "training": {"epochs": 2}},
    "promptad": {"object_name": "plate", "training": {"epochs": 2}},
    "subspacead": {"augmentations": 5},
    "winclip": {"object_name": "plate"},
}
ONE_LOOK = {"fine_resolution": False}  # of the regions; in slices a shot takes a second more
SHARES = {"tail", "level"}  # of a reading that the paper does not have
NEED_TEXT = ("finegrained", "promptad", "winclip")


def random_tokens(count, seed, width=(6, 9), joint=256):
    generator = torch.Generator().manual_seed(seed)
    patches = GRID[0] * GRID[1]
    memories = tuple(torch.randn(count, patches, w, generator=generator) for w in width)
    joint = torch.nn.functional.normalize(
        torch.randn(count, patches, joint, generator=generator), dim=-1
    )
    return PatchTokens(joint[:, 0], joint, memories, GRID, pooled(joint, GRID, (2, 3)))


def averaged_patches(tokens):
    return locally_aware(torch.cat(tokens.memories, -1), tokens.grid, 3)


class NoBackbone:
    """Detectors are fitted on tokens here, so all that is asked of it is where to compute."""

    name, weights_hash, device = "none", "0" * 64, torch.device("cpu")


def fitted(name, shots=3, **options):
    backbone = bundled() if name in NEED_TEXT else NoBackbone()
    detector = make_detector(name, backbone, OPTIONS.get(name, {}) | options)
    detector.fit_tokens(random_tokens(shots, seed=1))
    return detector


@pytest.fixture(scope="module")
def images():
    generator = np.random.default_rng(0)
    shots = [striped(generator)[0] for _ in range(2)]
    good = [striped(generator)[0] for _ in range(3)]
    bad = [striped(generator, defect=True) for _ in range(3)]
    return shots, good, bad


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_defects_stand_out_in_score_and_map(name, images, backbone):
    shots, good, bad = images
    detector = make_detector(name, backbone, OPTIONS.get(name)).fit(shots)
    tested = good + [image for image, _ in bad]
    prediction = detector.score(encode(backbone, tested, windows=detector.windows))
    assert prediction.image_scores[:3].max() < prediction.image_scores[3:].min()
    assert prediction.anomaly_maps.shape == (6, 400, 400)
    for anomaly_map, (_, mask) in zip(prediction.anomaly_maps[3:], bad, strict=True):
        row, column = np.unravel_index(anomaly_map.argmax(), anomaly_map.shape)
        rows, columns = np.nonzero(mask)
        assert rows.min() - 8 <= row * 64 / 400 <= rows.max() + 8
        assert columns.min() - 8 <= column * 64 / 400 <= columns.max() + 8


@pytest.mark.parametrize("name", ["finegrained", "promptad", "patchcore"])
def test_pauses_change_nothing_and_can_be_scored(name, images, backbone):
    shots, good, _ = images
    options = OPTIONS.get(name, {}) | ({"training": {"epochs": 3}} if name in NEED_TEXT else {})
    options |= {"regions": ONE_LOOK} if name == "finegrained" else {}
    whole = make_detector(name, backbone, options).fit(shots)
    paused = make_detector(name, backbone, options)
    tokens = encode(backbone, good)
    seen = [(epoch, paused.score(tokens)) for epoch in paused.epochs(shots, pauses=(1, 2, 3))]
    learns = name in NEED_TEXT
    assert [epoch for epoch, _ in seen] == ([1, 2, 3] if learns else [1])
    last = seen[-1][1]
    np.testing.assert_array_equal(last.anomaly_maps, whole.score(tokens).anomaly_maps)
    if learns:
        assert (seen[0][1].image_scores != last.image_scores).any()


def test_the_paper_s_preset_is_the_paper_whatever_the_defaults(backbone):
    """Every switch stands in it, and a given option changes that one alone."""
    assert {group: set(options) for group, options in PAPER.items()} == {
        field.name: {f.name for f in fields(field.type)} - SHARES for field in fields(MethodConfig)
    }
    options = {"caption": PLATE, "memory": {"joint": True}}
    config = make_detector("finegrained:paper", backbone, options).config
    assert config.memory == MemoryConfig(
        radius=None, near=0, joint=True, turned=False, finest=1, usual=0
    )
    assert (config.losses.mean, config.losses.regularization) == (0.001, 1)
    assert (config.scoring.fusion, config.scoring.matching) == ("harmonic", "query")
    assert config.scoring.class_temperature == config.scoring.temperature == backbone.logit_scale
    assert make_detector("finegrained:label", backbone, {"caption": PLATE}).config == (
        make_detector("finegrained", backbone, {"caption": PLATE}).config
    )


def test_a_turned_shot_is_normal_where_shots_are_remembered_turned(images, backbone):
    """Its tokens are those of the turned copy itself, so that nothing stands out."""
    shots, good, bad = images
    seen = [np.rot90(shots[0]).copy(), good[0], bad[0][0]]
    tokens = encode(backbone, seen)
    peaks = {}
    for turned in (True, False):
        memory = {"turned": turned, "radius": None}
        options = {"caption": PLATE, "training": {"epochs": 0}, "memory": memory}
        options["regions"] = ONE_LOOK
        detector = make_detector("finegrained", backbone, options).fit(shots)
        visual = detector.memory.compare(tokens, detector.config.memory)
        peaks[turned] = visual.amax(1)
        left = detector.leaving_out(0, encode(backbone, shots))
        assert left.memory.compare(tokens, detector.config.memory)[0].amax() > 1e-3
    assert peaks[True][0] < 1e-4
    assert peaks[False][0] > peaks[False][1]
    assert peaks[True][2] > peaks[True][1]


def test_regions_without_weight_still_tell_which_component_a_patch_shows(images, backbone):
    """Weights are all alike then, but the regions are the same."""
    shots, good, _ = images
    matched = []
    for weight in (0.0, 1.5):
        regions = ONE_LOOK | {"weight": weight}
        options = {"caption": PLATE, "training": {"epochs": 0}, "regions": regions}
        detector = make_detector("finegrained", backbone, options).fit(shots)
        matched.append(detector.score(encode(backbone, good)).matched)
    np.testing.assert_array_equal(*matched)
    assert len(np.unique(matched[0])) > 1


@pytest.mark.parametrize("name", sorted(DETECTORS))
@pytest.mark.parametrize("shots", [1, 3])
def test_a_batch_scores_like_one_by_one(name, shots):
    detector, tokens = fitted(name, shots), random_tokens(5, seed=2)
    together = detector.score(tokens)
    for i in range(5):
        alone = detector.score(tokens[i : i + 1])
        np.testing.assert_allclose(alone.image_scores[0], together.image_scores[i], rtol=1e-5)
        np.testing.assert_allclose(alone.anomaly_maps[0], together.anomaly_maps[i], rtol=1e-4)


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_reloaded_scores_are_the_same_bits(name, images, backbone, tmp_path):
    shots, good, _ = images
    detector = make_detector(name, backbone, OPTIONS.get(name), seed=5).fit(shots)
    shot = Shot(tmp_path / "000.png", "ab" * 32)
    save_detector(detector, tmp_path / "saved", dataset="d", category="c", shots=[shot])
    again = load_detector(tmp_path / "saved", backbone)
    tokens = encode(backbone, good, windows=detector.windows)
    first, second = detector.score(tokens), again.score(tokens)
    assert (first.image_scores == second.image_scores).all()
    assert (first.anomaly_maps == second.anomaly_maps).all()


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_a_fit_is_decided_by_its_seed(name):
    first, second = fitted(name).state(), fitted(name).state()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_unknown_methods_and_options_list_the_known():
    with pytest.raises(ConfigError, match="no method 'patchcor'; known: anomalib, anomalydino"):
        make_detector("patchcor", NoBackbone())
    with pytest.raises(
        ConfigError, match="no option k; known: features, levels, nearest_patches, retrieved_shots"
    ):
        make_detector("spade", NoBackbone(), {"k": 3})
    with pytest.raises(ConfigError, match="neighbourhood must be odd"):
        make_detector("patchcore", NoBackbone(), {"neighbourhood": 2})
    with pytest.raises(ConfigError, match="dimensions Input should be a valid integer"):
        make_detector("padim", NoBackbone(), {"dimensions": "many"})


def test_maps_are_interpolated_then_smoothed():
    scores = torch.rand(2, 20, dtype=torch.float64)
    bilinear = torch.nn.functional.interpolate(
        scores.reshape(2, 1, *GRID), (400, 400), mode="bilinear", align_corners=False
    )[:, 0]
    expected = np.stack([gaussian_filter(image, 4) for image in bilinear.numpy()])
    np.testing.assert_allclose(to_pixels(scores, GRID), expected, rtol=1e-9)


def test_patchcore_averages_a_neighbourhood_within_the_image():
    tokens = random_tokens(1, seed=3)
    joined = torch.cat(tokens.memories, -1)[0].reshape(*GRID, -1)
    averaged = averaged_patches(tokens)[0].reshape(*GRID, -1)
    torch.testing.assert_close(averaged[1, 2], joined[0:3, 1:4].mean((0, 1)))
    torch.testing.assert_close(averaged[0, 0], joined[0:2, 0:2].mean((0, 1)))


def test_patchcore_image_score_is_equation_7():
    detector, tokens = fitted("patchcore", reweighting_neighbours=3), random_tokens(1, seed=2)
    patches, bank = averaged_patches(tokens)[0].double(), detector.bank.double()
    distances = (patches[:, None] - bank).norm(dim=-1)
    worst = distances.min(1).values.argmax()
    nearest = distances[worst].argmin()
    around = (bank - bank[nearest]).norm(dim=-1).argsort()[:3]
    share = distances[worst, nearest].exp() / distances[worst, around].exp().sum()
    expected = (1 - share) * distances[worst, nearest]
    np.testing.assert_allclose(detector.score(tokens).image_scores[0], expected, rtol=1e-5)


def test_patchcore_large_distances_do_not_overflow():
    detector = fitted("patchcore")
    far = random_tokens(1, seed=2)
    far = PatchTokens(far.image, far.patches, tuple(1e4 * m for m in far.memories), GRID)
    assert np.isfinite(detector.score(far).image_scores).all()


def test_a_coreset_covers_better_than_chance():
    features = torch.randn(300, 8, generator=torch.Generator().manual_seed(0))
    chosen = greedy_coreset(features, 30, torch.Generator().manual_seed(1))
    assert len(set(chosen.tolist())) == 30
    radius = torch.cdist(features, features[chosen]).min(1).values.max()
    by_chance = torch.cdist(features, features[:30]).min(1).values.max()
    assert radius < by_chance


def test_patchcore_takes_the_second_and_third_stage_unless_told_otherwise(images, tmp_path):
    """Of a convolutional network; a checkpoint says which, so that a reader without it knows."""
    shots, good, _ = images
    backbone = bundled()
    tokens = encode(backbone, good)
    without_finest = PatchTokens(tokens.image, tokens.patches, tokens.memories[1:], tokens.grid)
    found = make_detector("patchcore", backbone).fit(shots)
    seen = encode(backbone, shots)
    alone = make_detector("patchcore", NoBackbone())  # takes all that it sees
    alone.fit_tokens(PatchTokens(seen.image, seen.patches, seen.memories[1:], seen.grid))
    expected = alone.score(without_finest).anomaly_maps
    np.testing.assert_array_equal(found.score(tokens).anomaly_maps, expected)
    every = make_detector("patchcore", backbone, {"levels": None}).fit(shots)
    assert not np.allclose(every.score(tokens).anomaly_maps, expected, rtol=1e-3)
    save_detector(every, tmp_path / "every", dataset="d", category="c", shots=[])
    save_detector(found, tmp_path / "found", dataset="d", category="c", shots=[])
    assert load_detector(tmp_path / "every", backbone).config.levels is None
    remote = RemoteBackbone(backbone.name, backbone.weights_hash)
    assert load_detector(tmp_path / "found", remote).config.levels == (1, 2)


def test_fair_patchcore_is_the_distance_to_the_nearest_patch_of_unit_levels():
    """Each level as long as any other, in a patch of length 1; neighbours don't count."""
    backbone, shots, tokens = NoBackbone(), random_tokens(3, seed=1), random_tokens(2, seed=2)
    detector = make_detector("patchcore:fair", backbone)
    detector.fit_tokens(shots)

    def patches(image, seen):
        levels = [level[image].double().numpy() for level in seen.memories]
        return [np.concatenate([row / np.linalg.norm(row) / 2**0.5 for row in rows])
                for rows in zip(*levels, strict=True)]  # fmt: skip

    bank = [patch for shot in range(3) for patch in patches(shot, shots)]
    for image in range(2):
        nearest = [min(np.linalg.norm(z - m) for m in bank) for z in patches(image, tokens)]
        expected = to_pixels(torch.tensor(nearest)[None], GRID)[0]
        np.testing.assert_allclose(detector.score(tokens).anomaly_maps[image], expected, atol=1e-4)


def test_patchcore_keeps_at_most_its_limit():
    assert fitted("patchcore", max_memory=7).bank.shape == (7, 15)


def test_padim_is_the_mahalanobis_distance():
    detector, tokens = fitted("padim", dimensions=4, epsilon=0.1), random_tokens(1, seed=2)
    support = torch.cat(random_tokens(3, seed=1).memories, -1)[..., detector.dimensions].double()
    query = torch.cat(tokens.memories, -1)[0][:, detector.dimensions].double()
    expected = []
    for position in range(20):
        covariance = np.cov(support[:, position].T) + 0.1 * np.eye(4)
        offset = (query[position] - support[:, position].mean(0)).numpy()
        expected.append(np.sqrt(offset @ np.linalg.inv(covariance) @ offset))
    maps = to_pixels(torch.tensor(np.array([expected])), GRID)
    np.testing.assert_allclose(detector.score(tokens).anomaly_maps, maps, rtol=1e-4)


def test_spade_retrieves_then_compares_patches():
    detector, tokens = fitted("spade", retrieved_shots=2, nearest_patches=2), random_tokens(1, 2)
    support = torch.cat(random_tokens(3, seed=1).memories, -1).double()
    query = torch.cat(tokens.memories, -1)[0].double()
    to_shots = [float((query.mean(0) - shot.mean(0)).square().sum()) for shot in support]
    nearest = np.argsort(to_shots)[:2]
    prediction = detector.score(tokens)
    np.testing.assert_allclose(
        prediction.image_scores[0], np.mean(np.sort(to_shots)[:2]), rtol=1e-4
    )
    gallery = torch.cat([support[i] for i in nearest])
    expected = [(gallery - patch).norm(dim=-1).sort().values[:2].mean() for patch in query]
    maps = to_pixels(torch.stack(expected)[None], GRID)
    np.testing.assert_allclose(prediction.anomaly_maps, maps, rtol=1e-4)


@pytest.fixture
def saved(images, backbone, tmp_path):
    detector = make_detector("patchcore", backbone).fit(images[0])
    save_detector(detector, tmp_path / "saved", dataset="d", category="c", shots=[])
    return tmp_path / "saved"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: (path / "config.json").unlink(), "config.json is missing"),
        (lambda path: (path / "config.json").write_text("{"), "config.json is damaged"),
        (lambda path: (path / "config.json").write_text('{"format": 1}'), "config.json is damaged"),
        (lambda path: (path / "config.json").write_text('{"format": 9}'), "format 9; this .* 1"),
        (lambda path: (path / "detector.safetensors").unlink(), "can't be loaded"),
        (lambda path: (path / "detector.safetensors").write_bytes(b"cut"), "can't be loaded"),
    ],
)
def test_a_damaged_checkpoint_says_what_is_wrong(saved, backbone, spoil, message):
    spoil(saved)
    with pytest.raises(CheckpointError, match=message):
        load_detector(saved, backbone)


UNSOUND = [float("nan"), float("inf"), 1e9, 0.0, -1.0]


@pytest.mark.parametrize("value", UNSOUND)
@pytest.mark.parametrize("kind", ["image", "pixel"])
def test_thresholds_that_accept_every_part_are_neither_made_nor_loaded(
    saved, backbone, value, kind
):
    unsound = {"image": 0.5, "pixel": 0.5, kind: value}
    with pytest.raises(ConfigError, match="thresholds must lie above 0"):
        Thresholds(**unsound)
    config = json.loads((saved / "config.json").read_text())
    config["thresholds"] = unsound
    (saved / "config.json").write_text(json.dumps(config))
    for reader in (read_config, lambda path: load_detector(path, backbone)):
        with pytest.raises(CheckpointError, match="thresholds must lie above 0"):
            reader(saved)


def test_learned_values_that_are_not_finite_are_neither_saved_nor_loaded(saved, backbone, images):
    detector = make_detector("patchcore", backbone).fit(images[0][:1])
    state = detector.state()
    [name] = [name for name, value in state.items() if value.is_floating_point()]
    broken = {**state, name: state[name].clone(memory_format=torch.contiguous_format)}
    broken[name].view(-1)[7] = torch.nan
    detector.load_state(broken)
    with pytest.raises(CheckpointError, match=f"tensor {name} has values that are not finite"):
        save_detector(detector, saved, dataset="d", category="c", shots=[])
    save_file(broken, saved / "detector.safetensors")
    with pytest.raises(CheckpointError, match=f"tensor {name} has values that are not finite"):
        load_detector(saved, backbone)


def test_a_checkpoint_for_other_weights_is_refused(saved):
    with pytest.raises(CheckpointError, match=r"bundled with weights .*got none with"):
        load_detector(saved, NoBackbone())


def test_an_interrupted_save_leaves_the_old_checkpoint(saved, images, backbone, monkeypatch):
    before = (saved / "detector.safetensors").read_bytes()

    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("finegrain.checkpoint.save_file", no_space)
    detector = make_detector("patchcore", backbone).fit(images[0][:1])
    with pytest.raises(OSError, match="No space"):
        save_detector(detector, saved, dataset="d", category="c", shots=[])
    assert (saved / "detector.safetensors").read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["saved"]


def test_a_state_of_another_revision_is_refused():
    """Its numbers would load, and mean other things."""
    detector = fitted("finegrained")
    state = detector.state()
    detector.load_state(state)
    for other in ({"revision": state["revision"] + 1}, {"revision": None}):
        changed = {name: value for name, value in {**state, **other}.items() if value is not None}
        with pytest.raises(KeyError, match="revision"):
            detector.load_state(changed)
