"""ResNets and DINOv2 from files: timm's own features, or a refusal that runs nothing."""

import copy

import numpy as np
import pytest
import timm
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save_file

from finegrain.backbones import (
    BACKBONES,
    Convolutional,
    check_backbone,
    encode,
    load_backbone,
    timm_towers,
)
from finegrain.backbones.efficientnet import pretrained_tower
from finegrain.backbones.timm_towers import (
    DINOS,
    RESNETS,
    TOWERS,
    DinoTower,
    ResNetTower,
    load_tower,
)
from finegrain.detectors import make_detector
from finegrain.errors import CheckpointError, ConfigError
from tests.conftest import striped

SIDE = 56  # pixels: a grid of 4 × 4


def written(path, tensors):
    tensors = {key: value.contiguous() for key, value in tensors.items()}
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path)
    return path


def random_network(architecture, **options):
    """With norms and layer scales that are not those of a new network."""
    torch.manual_seed(0)
    network = timm.create_model(architecture, pretrained=False, **options).eval()
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if key.endswith(("running_mean", "bias", "cls_token", "reg_token", "pos_embed")):
                value.normal_(0, 0.1)
            elif key.endswith(("running_var", "gamma", "norm1.weight", "norm.weight")):
                value.uniform_(0.5, 1.5)
    return network.requires_grad_(False)


@pytest.fixture(scope="module")
def resnet():
    return random_network("resnet18")


@pytest.fixture(scope="module")
def dino():
    return random_network("vit_small_patch14_dinov2", img_size=SIDE, weight_init="skip")


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


def by_authors_names(network):
    """The state dict of DINOv2's authors, who keep a token for masked patches."""
    return {**network.state_dict(), "mask_token": torch.zeros(1, 384)}


def by_torchvision(network):
    """Without the counters that older files lack."""
    return {k: v for k, v in network.state_dict().items() if "num_batches" not in k}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("form", [lambda network: network.state_dict(), by_torchvision])
def test_a_resnet_gives_timms_levels_on_the_coarsest_grid(tmp_path, resnet, image, suffix, form):
    tower = load_tower("resnet18", written(tmp_path / f"w{suffix}", form(resnet)), "cpu", 96)
    tokens = encode(tower, [image])
    _, one, two, three = resnet.forward_intermediates(
        tower.preprocess([image]), indices=[0, 1, 2, 3], intermediates_only=True
    )
    assert tokens.grid == (6, 6)
    for memory, level, step in zip(tokens.memories, (one, two, three), (4, 2, 1), strict=True):
        cells = level.unflatten(2, (6, step)).unflatten(4, (6, step)).mean((3, 5))
        torch.testing.assert_close(memory[0], cells[0].flatten(1).T, atol=1e-4, rtol=1e-4)
    norms = [memory / memory.norm(dim=-1, keepdim=True) for memory in tokens.memories]
    torch.testing.assert_close(tokens.patches, torch.cat(norms, -1) / 3**0.5)
    torch.testing.assert_close(tokens.image.norm(dim=-1), torch.ones(1))


def test_strides_are_those_of_the_networks_stages(resnet, backbone):
    """A picture of 96 pixels a side, by the sides of what the stages give."""
    pixels = torch.zeros(1, 3, 96, 96)
    stages = resnet.forward_intermediates(pixels, indices=[1, 2, 3], intermediates_only=True)
    of_lite = pretrained_tower()(pixels)
    assert ResNetTower.level_strides == tuple(96 // level.shape[-1] for level in stages)
    assert backbone.level_strides == tuple(96 // level.shape[-1] for level in of_lite)
    assert isinstance(backbone, Convolutional)
    assert not isinstance(DinoTower, Convolutional)


def test_a_resnet_of_bottlenecks_is_one_too(image):
    network = random_network("resnet26")  # of the wide one's blocks, which folding must fit
    tower = ResNetTower("wide_resnet50_2", copy.deepcopy(network), "cpu", 64)
    pixels = tower.preprocess([image])
    level = network.forward_intermediates(pixels, indices=[3], intermediates_only=True)[0]
    found = encode(tower, [image]).memories[-1]
    torch.testing.assert_close(found, level.flatten(2).transpose(1, 2), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("form", [lambda network: network.state_dict(), by_authors_names])
def test_dinov2_gives_timms_tokens(tmp_path, dino, image, form):
    path = written(tmp_path / "w.pth", form(dino))
    tower = load_tower("dinov2_small", path, "cpu", SIDE)
    tokens = encode(tower, [image, image[::-1].copy()])
    pixels = tower.preprocess([image, image[::-1].copy()])
    last = torch.nn.functional.normalize(dino.forward_features(pixels), dim=-1)
    torch.testing.assert_close(tokens.image, last[:, 0])
    torch.testing.assert_close(tokens.patches, last[:, 1:])
    x = dino.norm_pre(dino._pos_embed(dino.patch_embed(pixels)))
    for block in dino.blocks[:8]:
        x = block(x)
    torch.testing.assert_close(tokens.memories[0], x[:, 1:])
    torch.testing.assert_close(tokens.memories[1], dino.blocks[8](x)[:, 1:])
    assert (tokens.grid, len(tokens.memories)) == ((4, 4), 2)


def test_registers_are_no_patches(tmp_path, image):
    network = random_network("vit_small_patch14_reg4_dinov2", img_size=SIDE, weight_init="skip")
    path = written(tmp_path / "w.pth", network.state_dict())
    tower = load_tower("dinov2_small_reg4", path, "cpu", SIDE)
    tokens, pixels = encode(tower, [image]), tower.preprocess([image])
    last = torch.nn.functional.normalize(network.forward_features(pixels), dim=-1)
    torch.testing.assert_close(tokens.patches, last[:, 5:])
    assert tokens.memories[0].shape == (1, 16, 384)


def test_positions_of_another_grid_are_resized(tmp_path, dino, image):
    path = written(tmp_path / "w.safetensors", dino.state_dict())
    tower = load_tower("dinov2_small", path, "cpu", 84)
    assert encode(tower, [image]).grid == (6, 6)
    theirs = timm.create_model(
        "vit_small_patch14_dinov2",
        img_size=84,
        weight_init="skip",
        pretrained=True,
        pretrained_cfg_overlay={"file": str(path)},
    )
    torch.testing.assert_close(tower.network.state_dict(), theirs.state_dict())


def test_pixels_are_normalised_as_for_imagenet(tmp_path, resnet):
    tower = load_tower("resnet18", written(tmp_path / "w.pth", resnet.state_dict()), "cpu", 32)
    white = tower.preprocess([np.full((8, 8, 3), 255, dtype=np.uint8)])
    expected = [(1 - m) / s for m, s in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))]
    np.testing.assert_allclose(white[0, :, 3, 5], expected, rtol=1e-5)


def test_detectors_fit_and_score_on_them(tmp_path, resnet, dino):
    generator = np.random.default_rng(0)
    shots = [striped(generator)[0] for _ in range(2)]
    files = {
        "resnet18": written(tmp_path / "resnet.pth", resnet.state_dict()),
        "dinov2_small": written(tmp_path / "dino.pth", dino.state_dict()),
    }
    for name, path in files.items():
        tower = load_tower(name, path, "cpu", 56 if name in DINOS else 112)
        tokens = encode(tower, shots)
        for method, options in (
            ("patchcore", {"levels": [1]}),
            ("anomalydino", {"rotations": 2}),
            ("subspacead", {"augmentations": 1}),
        ):
            prediction = make_detector(method, tower, options).fit(shots).score(tokens)
            assert np.isfinite(prediction.anomaly_maps).all()


def test_weights_decide_the_hash(tmp_path, resnet):
    path = written(tmp_path / "w.pth", resnet.state_dict())
    first, second = (load_backbone("resnet18", weights=path) for _ in range(2))
    changed = {**resnet.state_dict(), "bn1.bias": torch.ones(64)}
    other = load_backbone("resnet18", weights=written(tmp_path / "other.pth", changed))
    assert first.weights_hash == second.weights_hash != other.weights_hash
    assert (first.name, first.image_size) == ("resnet18", 240)


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("resnet18", lambda s: s.pop("conv1.weight"), "weights of resnet18: conv1.weight is missi"),
        ("resnet18", lambda s: s.update(extra=torch.ones(1)), "extra is not resnet18's"),
        ("dinov2_small", lambda s: s.pop("norm.bias"), "norm.bias is missing"),
        ("dinov2_small", lambda s: s.pop("pos_embed"), "pos_embed is missing"),
        ("dinov2_small", lambda s: s.update(pos_embed=torch.ones(7)), "not hold the weights of"),
        ("dinov2_small_reg4", lambda _: None, "not hold the weights of dinov2_small_reg4"),
    ],
)
def test_a_file_that_does_not_fit_is_named(tmp_path, resnet, dino, name, spoil, message):
    tensors = dict((resnet if name == "resnet18" else dino).state_dict())
    spoil(tensors)
    path = written(tmp_path / "w.pth", tensors)
    with pytest.raises(CheckpointError, match=message):
        load_tower(name, path, "cpu", SIDE if name in DINOS else None)


def test_a_file_of_more_than_tensors_is_refused(tmp_path):
    torch.save({"state_dict": {"x": torch.ones(1)}, "code": print}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="can't be read as tensors alone"):
        load_backbone("resnet18", weights=tmp_path / "w.pth")


def test_the_hub_out_of_reach_is_no_fault_of_the_user(monkeypatch):
    asked = []

    def unreachable(repository, file):
        asked.append((repository, file))
        raise LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(timm_towers, "hf_hub_download", unreachable)
    with pytest.raises(ConnectionError, match=r"resnet18.tv_in1k' of resnet18 could not be down"):
        load_backbone("resnet18", weights="hub")
    assert asked == [("timm/resnet18.tv_in1k", "model.safetensors")]


def test_what_the_hub_gives_is_loaded_like_a_file(monkeypatch, tmp_path, resnet, image):
    path = written(tmp_path / "model.safetensors", resnet.state_dict())
    monkeypatch.setattr(timm_towers, "hf_hub_download", lambda *_: str(path))
    first, second = (load_backbone("resnet18", weights=weights) for weights in ("hub", path))
    assert torch.equal(encode(first, [image]).patches, encode(second, [image]).patches)


@pytest.mark.parametrize("name", TOWERS)
def test_every_tag_is_one_of_timms(name):
    assert (RESNETS | DINOS)[name] in timm.list_pretrained()
    assert name in BACKBONES


def test_what_can_not_succeed_is_told_before_anything_is_loaded(tmp_path):
    with pytest.raises(ConfigError, match="dinov2_small needs weights: a file in timm's format"):
        check_backbone("dinov2_small", None)
    with pytest.raises(ConfigError, match="backbone resnet18 reads no text; those that do: b"):
        check_backbone("resnet18", "hub", reads_text=True)
    with pytest.raises(ConfigError, match=r"nowhere.pth is no file; resnet18 takes a file"):
        load_backbone("resnet18", weights=tmp_path / "nowhere.pth")
    with pytest.raises(ConfigError, match="resnet18 computes in float32 alone"):
        load_backbone("resnet18", weights="hub", dtype=torch.bfloat16)
    with pytest.raises(ConfigError, match="dinov2_small needs an image_size in multiples of 14"):
        timm_towers.build_network("dinov2_small", 240)
