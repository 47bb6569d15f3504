"""Weights by file and by tag: open_clip's own features, or a refusal that runs nothing."""

import json
import os
import pickle

import open_clip
import pytest
import torch
from open_clip import factory, pretrained
from safetensors.torch import save_file

from finegrain.backbones.clip import openclip
from finegrain.backbones.clip.openclip import load_open_clip
from finegrain.backbones.efficientnet import parameters_hash
from finegrain.errors import CheckpointError, ConfigError
from tests.backbones.conftest import TINY, pixels_for, tiny_model

CPU = {"device": "cpu", "dtype": torch.float32}
close = {"atol": 1e-5, "rtol": 0}


@pytest.fixture(autouse=True)
def tiny_is_a_name(monkeypatch):
    """open_clip and the loader know "tiny" and "tiny-quickgelu" as they know ViT-B-32."""
    names = ("tiny", "tiny-quickgelu")
    for name in names:
        config = {"quick_gelu": name != "tiny", **TINY}
        monkeypatch.setitem(factory._MODEL_CONFIGS, name, json.loads(json.dumps(config)))
    monkeypatch.setattr(openclip, "MODELS", (*openclip.MODELS, *names))


def written(path, model, wrap=dict, prefix=""):
    tensors = {prefix + key: value.contiguous() for key, value in model.state_dict().items()}
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(wrap(tensors), path)
    return path


def training_checkpoint(tensors):
    return {"epoch": 32, "name": "run", "state_dict": tensors, "optimizer": {"param_groups": []}}


def features(model, clip):
    with torch.no_grad():
        pixels, texts = pixels_for(clip), ["a bent lead", "a round tablet"]
        return (
            model.encode_image(pixels, normalize=True),
            model.encode_text(clip.tokenize(texts), normalize=True),
            clip.encode_images(pixels).image,
            clip.encode_text(texts),
        )


@pytest.mark.parametrize(
    ("suffix", "wrap", "prefix"),
    [
        (".safetensors", dict, ""),
        (".pt", dict, ""),
        (".pth", training_checkpoint, "module."),
        (".bin", training_checkpoint, ""),
    ],
)
@pytest.mark.parametrize("name", ["tiny", "tiny-quickgelu"])
def test_a_local_file_gives_open_clips_features(tmp_path, name, suffix, wrap, prefix):
    path = written(tmp_path / f"weights{suffix}", tiny_model(seed=3), wrap, prefix)
    clip = load_open_clip(name, str(path), **CPU)
    theirs = open_clip.create_model(name, pretrained=str(path)).eval()
    image, text, our_image, our_text = features(theirs, clip)
    torch.testing.assert_close(our_image, image, **close)
    torch.testing.assert_close(our_text, text, **close)
    assert clip.logit_scale == pytest.approx(theirs.logit_scale.exp().item())
    assert (clip.name, clip.weights_hash) == (name, parameters_hash(theirs))


def test_a_real_architecture_round_trips(tmp_path, vit_b_32):
    path = written(tmp_path / "vit.safetensors", vit_b_32.model)
    clip = load_open_clip("ViT-B-32", path, **CPU)
    path.unlink()  # 600 MB
    image, text, our_image, our_text = features(vit_b_32.model, clip)
    torch.testing.assert_close(our_image, image, **close)
    torch.testing.assert_close(our_text, text, **close)


@pytest.mark.parametrize(("side", "grid"), [(48, (6, 6)), (24, (3, 3)), (32, (4, 4))])
def test_another_input_side_is_open_clips_resized_model(tmp_path, side, grid):
    path = written(tmp_path / "weights.pt", tiny_model())
    clip = load_open_clip("tiny", path, image_size=side, **CPU)
    theirs = open_clip.create_model("tiny", pretrained=str(path), force_image_size=side).eval()
    image, _, our_image, _ = features(theirs, clip)
    torch.testing.assert_close(our_image, image, **close)
    assert clip.image_size == side
    assert clip.encode_images(pixels_for(clip)).grid == grid
    assert (clip.model.visual.positional_embedding == theirs.visual.positional_embedding).all()


@pytest.mark.parametrize("side", [30, 0])
def test_an_input_side_must_hold_whole_patches(tmp_path, side):
    path = written(tmp_path / "weights.pt", tiny_model())
    with pytest.raises(ConfigError, match=f"image_size {side} is no multiple of tiny's patch, 8"):
        load_open_clip("tiny", path, image_size=side, **CPU)


class Payload:
    """Unpickling this makes a folder."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("suffix", [".pt", ".bin", ".safetensors"])
@pytest.mark.parametrize(
    "save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value, protocol=2))]
)
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path, suffix, save):
    marker, path = tmp_path / "marker", tmp_path / f"evil{suffix}"
    save({"payload": Payload(marker), "logit_scale": torch.zeros(())}, path)
    reason = "is damaged" if suffix == ".safetensors" else r"would call posix\.mkdir"
    with pytest.raises(CheckpointError, match=rf"evil\..* nothing of it was run: it {reason}"):
        load_open_clip("tiny", path, **CPU)
    assert not marker.exists()
    pickle.loads(pickle.dumps(Payload(marker)))
    assert marker.exists()  # so the payload is a real one


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("kept", [0, 5, 0.01, 0.5, 0.999])
def test_a_truncated_file_is_refused(tmp_path, suffix, kept):
    path = written(tmp_path / f"weights{suffix}", tiny_model())
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    with pytest.raises(CheckpointError, match=r"can't be read as tensors alone.*get it again"):
        load_open_clip("tiny", path, **CPU)


@pytest.mark.filterwarnings("ignore:.*torch.jit.load")
def test_torchscript_is_refused(tmp_path):
    torch_script = tmp_path / "openai.pt"
    with pytest.warns(FutureWarning, match="deprecated"):
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), torch_script)
    with pytest.raises(CheckpointError, match="it is a TorchScript archive"):
        load_open_clip("tiny", torch_script, **CPU)


@pytest.mark.parametrize(
    ("vision", "message"),
    [
        ({"width": 48}, "class_embedding is 48 where 32 is needed; .* and .* more"),
        ({"patch_size": 16}, "visual.conv1.weight is 32×3×16×16 where 32×3×8×8 is needed"),
        ({"layers": 7}, r"resblocks\.6\.attn\.in_proj_bias is not tiny's"),
        ({"layers": 5}, r"resblocks\.5\.attn\.in_proj_bias is missing"),
        ({"image_size": (32, 40)}, "positional_embedding is 21×32 where 17×32 is needed"),
    ],
)
def test_weights_of_another_architecture_are_refused(tmp_path, vision, message):
    path = written(tmp_path / "other.safetensors", tiny_model(**vision))
    with pytest.raises(CheckpointError, match=f"does not hold the weights of tiny: .*{message}"):
        load_open_clip("tiny", path, **CPU)


@pytest.mark.parametrize("stored", [torch.zeros(3), [1, 2], {"a": 1}, {"state_dict": None}, {}])
def test_a_file_without_a_state_dict_is_refused(tmp_path, stored):
    torch.save(stored, tmp_path / "odd.pt")
    with pytest.raises(CheckpointError, match=r"holds no state dict|does not hold the weights"):
        load_open_clip("tiny", tmp_path / "odd.pt", **CPU)


def test_another_suffix_is_refused(tmp_path):
    (tmp_path / "weights.onnx").write_bytes(b"1")
    with pytest.raises(CheckpointError, match=r"'\.onnx'; needed one of \.safetensors, \.pt"):
        load_open_clip("tiny", tmp_path / "weights.onnx", **CPU)


def test_unknown_names_and_tags_list_the_known():
    with pytest.raises(ConfigError, match="no open_clip model 'ViT-B-64' here; known: ViT-B-32, "):
        load_open_clip("ViT-B-64", "openai", **CPU)
    with pytest.raises(ConfigError, match="laion is no file and no tag of ViT-B-16-plus-240; its "
                       "tags: laion400m_e31, laion400m_e32"):  # fmt: skip
        load_open_clip("ViT-B-16-plus-240", "laion", **CPU)


def test_every_name_is_open_clips_and_quickgelu_has_one_too():
    assert set(openclip.MODELS) <= set(open_clip.list_models())
    for name, tag in open_clip.list_pretrained():
        if name in openclip.MODELS and open_clip.get_pretrained_cfg(name, tag).get("quick_gelu"):
            assert name.removesuffix("-quickgelu") + "-quickgelu" in openclip.MODELS


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A tag "pub" of tiny, trained with QuickGELU and with its own mean."""
    path = written(tmp_path / "hub.safetensors", tiny_model(seed=5))
    tag = {"quick_gelu": True, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
    tags = {
        ("tiny", "pub"): {**tag, "file": str(path)},
        ("tiny", "gone"): {**tag, "hf_hub": "a/b/"},
    }
    monkeypatch.setattr(openclip, "get_pretrained_cfg", lambda *key: tags.get(key, {}))
    return path


def test_a_tag_brings_its_activation_and_normalisation(hub):
    clip = load_open_clip("tiny", "pub", **CPU)
    assert (clip.name, clip.mean, clip.std) == ("tiny-quickgelu", (0.5,) * 3, (0.25,) * 3)
    theirs = open_clip.create_model("tiny-quickgelu", pretrained=str(hub)).eval()
    image, text, our_image, our_text = features(theirs, clip)
    torch.testing.assert_close(our_image, image, **close)
    torch.testing.assert_close(our_text, text, **close)
    assert load_open_clip("tiny", hub, mean=(0.1, 0.2, 0.3), **CPU).mean == (0.1, 0.2, 0.3)


@pytest.mark.usefixtures("hub")
def test_no_network_is_no_fault_of_the_input(monkeypatch):
    def fails(**_):
        raise OSError("no route to host")

    monkeypatch.setattr(pretrained, "hf_hub_download", fails)
    with pytest.raises(ConnectionError, match=r"'gone' of tiny.* no route .* give a local file"):
        load_open_clip("tiny", "gone", **CPU)
