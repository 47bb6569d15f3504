"""Small open_clip models with random weights, and ViT-B-32 once for all tests."""

import copy

import open_clip
import pytest
import torch

from finegrain.backbones.clip.openclip import OpenClip, build_model

TINY = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 6, "width": 32, "head_width": 8, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 3},
}
QUICK_SCALED = {
    "quick_gelu": True,
    **TINY,
    "vision_cfg": {**TINY["vision_cfg"], "ls_init_value": 0.5},
    "text_cfg": {**TINY["text_cfg"], "ls_init_value": 0.5},
}


def shaken(model, seed=0):
    """Noise on every parameter, so that no bias or norm is the identity that it starts as."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def tiny_model(seed=0, config=TINY, **vision):
    config = copy.deepcopy(config)
    config["vision_cfg"].update(vision)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return shaken(open_clip.CLIP(**config), seed)


def frozen(model, dtype=torch.float32):
    return OpenClip("tiny", model, device="cpu", dtype=dtype)


def pixels_for(clip, count=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, clip.image_size, clip.image_size, generator=generator)


@pytest.fixture(scope="session")
def vit_b_32():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = shaken(build_model("ViT-B-32"))
    return OpenClip("ViT-B-32", model, device="cpu", dtype=torch.float32)


@pytest.fixture(scope="session")
def tiny():
    return frozen(tiny_model())


@pytest.fixture(params=["tiny", "quick_scaled", "ViT-B-32"])
def clip(request):
    """One model of each kind: plain, with QuickGELU and LayerScale, and a real architecture."""
    if request.param == "ViT-B-32":
        return request.getfixturevalue("vit_b_32")
    return frozen(tiny_model(config=TINY if request.param == "tiny" else QUICK_SCALED))
