"""Detectors that fit turned copies: their formulas written slowly, and who has seen which view."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from finegrain.backbones import PatchTokens, RemoteBackbone, encode
from finegrain.checkpoint import load_detector, save_detector
from finegrain.detectors import make_detector
from finegrain.detectors.foreground import foreground
from finegrain.detectors.maps import tail_mean, to_pixels
from finegrain.detectors.subspacead import principal_subspace
from finegrain.errors import ConfigError
from tests.conftest import striped

GRID = (4, 5)
RIVALS = {"anomalydino": {"rotations": 4}, "subspacead": {"augmentations": 4}}
REMOTE = RemoteBackbone("none", "0" * 64)


def tokens(count, seed, widths=(6, 9), joint=8):
    """Tokens near a plane, as those of real images are, so that a subspace leaves some of it."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(width):
        directions = torch.randn(3, width, generator=torch.Generator().manual_seed(width))
        plane = torch.randn(count, 20, 3, generator=generator) @ directions
        return 5 + plane + 0.3 * torch.randn(count, 20, width, generator=generator)

    unit = torch.nn.functional.normalize(drawn(joint), dim=-1)
    return PatchTokens(unit[:, 0], unit, tuple(drawn(width) for width in widths), GRID)


class Counting:
    """A backbone that turns an image into tokens of its colours, and remembers what it saw."""

    name, weights_hash, device = "counting", "0" * 64, torch.device("cpu")

    def __init__(self):
        self.seen = []

    def preprocess(self, images):
        self.seen += [image.copy() for image in images]
        small = [np.resize(image, (64, 64, 3)) for image in images]
        return torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float() / 255

    def encode_images(self, pixels, windows=None):
        pooled = torch.nn.functional.adaptive_avg_pool2d(pixels, GRID).flatten(2).transpose(1, 2)
        unit = torch.nn.functional.normalize(pooled + 0.1, dim=-1)
        return PatchTokens(unit[:, 0], unit, (pooled,), GRID)


@pytest.fixture
def shots():
    generator = np.random.default_rng(0)
    return [striped(generator)[0] for _ in range(3)]


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_anomalydino_is_the_cosine_distance_to_the_nearest_patch():
    detector = make_detector("anomalydino", REMOTE, {"features": "levels", "top_share": 0.15})
    shots, query = tokens(2, 1), tokens(3, 2)
    detector.fit_tokens(shots)
    side_by_side = [
        unit(np.concatenate([unit(m.double().numpy()) for m in t.memories], -1))
        for t in (shots, query)
    ]
    bank = side_by_side[0].reshape(-1, 15)
    distances = np.array(
        [[min(1 - patch @ row for row in bank) for patch in image] for image in side_by_side[1]]
    )
    prediction = detector.score(query)
    highest = np.sort(distances)[:, -3:]  # 15 % of 20
    np.testing.assert_allclose(prediction.image_scores, highest.mean(1), atol=3e-4)
    maps = to_pixels(torch.from_numpy(distances), GRID)
    np.testing.assert_allclose(prediction.anomaly_maps, maps, atol=3e-4)


def test_a_bank_is_compared_in_pieces(monkeypatch):
    detector = make_detector("anomalydino", REMOTE)
    detector.fit_tokens(tokens(3, 1))
    whole = detector.score(tokens(2, 2)).anomaly_maps
    monkeypatch.setattr("finegrain.detectors.anomalydino.CHUNK", 7)
    np.testing.assert_allclose(detector.score(tokens(2, 2)).anomaly_maps, whole, atol=1e-6)


def test_turning_an_image_hardly_changes_its_anomalydino_score(backbone):
    image = striped(np.random.default_rng(0))[0]
    turned = encode(backbone, [image, np.rot90(image).copy()])
    single = make_detector("anomalydino", backbone, {"rotations": 1}).fit([image])
    whole = make_detector("anomalydino", backbone, {"rotations": 4}).fit([image])
    assert single.score(turned).image_scores[1] > 0.05
    assert whole.score(turned).image_scores == pytest.approx(0, abs=2e-3)


def test_a_clip_is_compared_by_its_levels_and_others_by_their_patches(backbone, tmp_path):
    clip = make_detector("anomalydino", backbone)
    assert clip.config.features == "levels"
    assert make_detector("anomalydino", Counting()).config.features == "joint"
    clip.fit_tokens(tokens(1, 1))
    save_detector(clip, tmp_path / "saved", dataset="d", category="c", shots=[])
    elsewhere = RemoteBackbone(backbone.name, backbone.weights_hash)
    again = load_detector(tmp_path / "saved", elsewhere)
    assert again.config == clip.config
    query = tokens(2, 2)
    assert (again.score(query).anomaly_maps == clip.score(query).anomaly_maps).all()


def test_a_subspace_is_that_of_the_singular_value_decomposition():
    parts = [torch.cat(tokens(1, i).memories, -1)[0] for i in range(4)]
    stacked = torch.cat(parts).double().numpy()
    mean = stacked.mean(0)
    _, strengths, directions = np.linalg.svd(stacked - mean)
    shares = np.cumsum(strengths**2) / (strengths**2).sum()
    wanted = 1 + int(np.argmax(shares >= 0.9))
    found_mean, basis = principal_subspace(parts, 0.9)
    np.testing.assert_allclose(found_mean, mean, rtol=1e-5)
    assert basis.shape == (15, wanted)
    projector = directions[:wanted].T @ directions[:wanted]
    np.testing.assert_allclose(basis @ basis.T, projector, atol=1e-5)


@pytest.mark.parametrize("options", [{"features": "joint"}, {}, {"levels": [1]}])
@pytest.mark.parametrize("widths", [(6, 9), (7, 7)])
def test_subspacead_is_the_squared_residual(options, widths):
    detector = make_detector("subspacead", REMOTE, {"variance": 0.9, **options})
    shots, query = tokens(2, 1, widths), tokens(3, 2, widths)
    detector.fit_tokens(shots)

    def features(t):
        first, second = (memory.double().numpy() for memory in t.memories)
        if options == {"features": "joint"}:
            return t.patches.double().numpy()
        if options == {"levels": [1]}:
            return second
        if widths == (7, 7):
            return (first + second) / 2
        return unit(np.concatenate([unit(first), unit(second)], -1))

    normal = features(shots).reshape(-1, detector.mean.shape[0])
    mean = normal.mean(0)
    directions = np.linalg.svd(normal - mean)[2][: detector.basis.shape[1]]
    centred = features(query) - mean
    expected = ((centred - centred @ directions.T @ directions) ** 2).sum(-1)
    prediction = detector.score(query)
    np.testing.assert_allclose(prediction.image_scores, expected.max(1), rtol=1e-3, atol=1e-6)
    maps = to_pixels(torch.from_numpy(expected), GRID)
    np.testing.assert_allclose(prediction.anomaly_maps, maps, rtol=1e-3, atol=1e-6)


def test_a_subspace_never_fills_the_space():
    patches = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    assert principal_subspace([patches], 0.999999)[1].shape == (4, 3)


def test_the_tail_is_a_share_of_the_patches_but_one_at_least():
    scores = torch.arange(200.0).repeat(2, 1)
    assert tail_mean(scores, 0.01).tolist() == [198.5, 198.5]
    assert tail_mean(scores[:, :50], 0.01).tolist() == [49, 49]


def test_views_are_the_shot_and_turned_copies(shots):
    backbone = Counting()
    make_detector("anomalydino", backbone, {"rotations": 4}).fit(shots[:1])
    assert len(backbone.seen) == 4
    for quarter, view in enumerate(backbone.seen):
        np.testing.assert_allclose(view, np.rot90(shots[0], quarter), atol=1)
    backbone = Counting()
    make_detector("subspacead", backbone, {"augmentations": 2}).fit(shots[:2])
    assert len(backbone.seen) == 6
    assert (backbone.seen[0] == shots[0]).all()
    assert (backbone.seen[3] == shots[1]).all()
    assert not (backbone.seen[1] == backbone.seen[2]).all()


@pytest.mark.parametrize("name", RIVALS)
def test_views_are_decided_by_the_seed(name, shots):
    states = [
        make_detector(name, Counting(), RIVALS[name], seed=seed).fit(shots).state()
        for seed in (1, 1, 2)
    ]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    if name == "subspacead":
        assert not torch.equal(states[0]["mean"], states[2]["mean"])


@pytest.mark.parametrize("name", RIVALS)
def test_leaving_a_shot_out_leaves_its_views_out_and_keeps_the_others(name, shots):
    detector = make_detector(name, Counting(), RIVALS[name]).fit(shots)
    before = {key: value.clone() for key, value in detector.state().items()}
    encoded = encode(detector.backbone, shots)
    first_two = make_detector(name, Counting(), RIVALS[name]).fit(shots[:2]).state()
    left = detector.leaving_out(2, encoded).state()
    for key, value in first_two.items():
        torch.testing.assert_close(left[key], value)
    assert all(torch.equal(detector.state()[key], before[key]) for key in before)


@pytest.mark.parametrize("name", RIVALS)
def test_the_only_shot_stays(name, shots):
    detector = make_detector(name, Counting(), RIVALS[name]).fit(shots[:1])
    left = detector.leaving_out(0, encode(detector.backbone, shots[:1])).state()
    assert all(torch.equal(left[key], value) for key, value in detector.state().items())


def test_what_was_reloaded_has_no_views_to_leave_out(shots, tmp_path):
    detector = make_detector("subspacead", Counting(), RIVALS["subspacead"]).fit(shots)
    save_detector(detector, tmp_path / "saved", dataset="d", category="c", shots=[])
    again = load_detector(tmp_path / "saved", RemoteBackbone("counting", "0" * 64))
    with pytest.raises(
        RuntimeError, match=r"keeps the views of 0 shots, not of 3; .* fit it again"
    ):
        again.leaving_out(0, encode(detector.backbone, shots))


def test_the_foreground_is_what_fills_the_centre():
    generator = torch.Generator().manual_seed(0)
    object_, table = torch.randn(2, 8, generator=generator)
    inside = np.zeros((12, 12), dtype=bool)
    inside[3:9, 4:9] = True
    where = torch.from_numpy(inside.flatten())[:, None]
    noise = 0.05 * torch.randn(144, 8, generator=generator)
    image = torch.where(where, object_, table) + noise
    hollow = image.clone()
    hollow[6 * 12 + 6] = table  # a hole, which closing fills
    found = foreground(torch.stack([image, hollow]), (12, 12)).reshape(2, 12, 12)
    expected = ndimage.binary_dilation(inside, np.ones((3, 3)))
    assert (found.numpy() == expected).all()


def test_a_masked_background_scores_nothing():
    options = {"features": "joint", "top_share": 0.05}
    plain = make_detector("anomalydino", REMOTE, options)
    masked = make_detector("anomalydino", REMOTE, {**options, "masking": True})
    query = tokens(2, 2)
    for detector in (plain, masked):
        detector.fit_tokens(tokens(2, 1))
    kept = foreground(query.patches, GRID)
    nearest = 1 - (query.patches @ plain.bank.T).amax(-1)
    expected = to_pixels(nearest.clamp(min=0) * kept, GRID)
    assert not kept.all()
    np.testing.assert_allclose(masked.score(query).anomaly_maps, expected, atol=1e-6)


@pytest.mark.parametrize("name", ["patchcore", "padim", "spade", "subspacead", "anomalydino"])
def test_joint_features_are_the_patches_alone(name):
    """The same scores whatever the levels are, and other ones than theirs."""
    shots, query = tokens(3, 1), tokens(2, 2)
    bare = [PatchTokens(t.image, t.patches, (t.patches,), GRID) for t in (shots, query)]
    joint = make_detector(name, REMOTE, {"features": "joint"})
    of_bare = make_detector(name, REMOTE, {"features": "levels"})
    of_levels = make_detector(name, REMOTE, {"features": "levels"})
    joint.fit_tokens(shots)
    of_bare.fit_tokens(bare[0])
    of_levels.fit_tokens(shots)
    found = joint.score(query).anomaly_maps
    np.testing.assert_allclose(found, of_bare.score(bare[1]).anomaly_maps, atol=1e-6)
    assert not np.allclose(found, of_levels.score(query).anomaly_maps, rtol=1e-3)


@pytest.mark.parametrize("name", ["patchcore", "padim", "spade", "subspacead", "anomalydino"])
def test_chosen_levels_are_as_if_there_were_no_others(name):
    shots, query = tokens(3, 1), tokens(2, 2)
    fewer = [PatchTokens(t.image, t.patches, t.memories[1:], GRID) for t in (shots, query)]
    chosen = make_detector(name, REMOTE, {"features": "levels", "levels": [1]})
    of_fewer = make_detector(name, REMOTE, {"features": "levels"})
    chosen.fit_tokens(shots)
    of_fewer.fit_tokens(fewer[0])
    np.testing.assert_array_equal(
        chosen.score(query).anomaly_maps, of_fewer.score(fewer[1]).anomaly_maps
    )


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("patchcore", {"features": "text"}, "features Input should be 'levels' or 'joint'"),
        ("padim", {"levels": []}, "levels must be places from 0 up"),
        ("spade", {"levels": [-1]}, "levels must be places from 0 up"),
        ("subspacead", {"variance": 1.0}, "variance must be between 0 and 1; got 1.0"),
        ("subspacead", {"augmentations": -1}, "augmentations must be 0 or more"),
        ("subspacead", {"top_share": 0}, "top_share must be above 0"),
        ("anomalydino", {"rotations": 0}, "rotations must be 1 or more"),
        ("anomalydino", {"top_share": 2}, "top_share must be above 0 and at most 1"),
    ],
)
def test_options_check_themselves(name, options, message):
    with pytest.raises(ConfigError, match=message):
        make_detector(name, REMOTE, options)


def test_a_level_that_the_backbone_lacks_is_named():
    detector = make_detector("patchcore", REMOTE, {"levels": [1, 2]})
    with pytest.raises(ConfigError, match=r"levels \[1, 2\] are asked for, .* backbone has 2"):
        detector.fit_tokens(tokens(1, 1))


@pytest.mark.parametrize("name", RIVALS)
def test_no_shots_are_refused(name):
    with pytest.raises(ConfigError, match="needs at least one shot"):
        make_detector(name, Counting()).fit([])
