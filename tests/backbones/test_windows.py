"""Windows of a vision transformer against the obvious forward pass of each."""

import pytest
import torch
import torch.nn.functional as F

from finegrain.backbones import Windows
from finegrain.backbones.clip.vv_attention import attend_own, embed_pixels
from finegrain.backbones.windows import cover, members
from tests.backbones.conftest import QUICK_SCALED, frozen, pixels_for, tiny_model

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(params=[{}, {"config": QUICK_SCALED}], ids=["plain", "quick_scaled"])
def small(request):
    return frozen(tiny_model(**request.param))


def joint(clip, tokens):
    visual = clip.model.visual
    return F.normalize(visual.ln_post(tokens) @ visual.proj, dim=-1)


def test_an_isolated_window_is_open_clips_encoder_on_its_tokens(small):
    visual, pixels = small.model.visual, pixels_for(small)
    found = small.encode_images(pixels, Windows((2, 3)))
    embedded = embed_pixels(visual, pixels)
    for scale, windows in zip((2, 3), found.windows, strict=True):
        for place, patches in enumerate(members((4, 4), scale)):
            own = torch.cat([embedded[:, :1], embedded[:, 1 + patches]], 1)
            truth = joint(small, visual.transformer(own)[:, 0])
            torch.testing.assert_close(windows[:, place], truth, **CLOSE)


def test_shared_windows_are_class_tokens_under_a_mask(small):
    """open_clip's own blocks, given the image's tokens, one more per window, and a mask."""
    visual, pixels = small.model.visual, pixels_for(small)
    found = small.encode_images(pixels, Windows((2, 3), shared=True))
    own = torch.cat([cover((4, 4), scale) for scale in (2, 3)])
    x = embed_pixels(visual, pixels)
    x = torch.cat([x, x[:, :1].expand(-1, len(own), -1)], 1)
    hidden = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool)
    hidden[:17, :17] = False
    hidden[17:, 1:17] = ~own
    hidden[17:, 17:] = ~torch.eye(len(own), dtype=torch.bool)
    mask = torch.zeros(hidden.shape).masked_fill(hidden, -torch.inf)
    for block in visual.transformer.resblocks:
        x = block(x, attn_mask=mask)
    torch.testing.assert_close(torch.cat(found.windows, 1), joint(small, x[:, 17:]), **CLOSE)


@pytest.mark.parametrize("shared", [False, True])
def test_windows_change_nothing_else(small, shared):
    pixels = pixels_for(small)
    plain, beside = small.encode_images(pixels), small.encode_images(pixels, Windows((2,), shared))
    assert plain.windows == ()
    assert plain.ordinary is None
    torch.testing.assert_close(beside.image, plain.image, **CLOSE)
    torch.testing.assert_close(beside.patches, plain.patches, **CLOSE)
    for one, other in zip(beside.memories, plain.memories, strict=True):
        torch.testing.assert_close(one, other, **CLOSE)
    visual = small.model.visual
    truth = visual.ln_post(visual.transformer(embed_pixels(visual, pixels)))[:, 1:]
    torch.testing.assert_close(beside.ordinary, truth, **CLOSE)


@pytest.mark.parametrize("shared", [False, True])
def test_a_batch_is_its_images(tiny, shared, monkeypatch):
    monkeypatch.setattr(
        "finegrain.backbones.clip.window_attention.TOKENS_AT_ONCE", 17
    )  # a few each
    windows, pixels = Windows((2, 3), shared), pixels_for(tiny, count=3)
    together = tiny.encode_images(pixels, windows)
    for row in range(3):
        alone = tiny.encode_images(pixels[row : row + 1], windows)
        for one, many in zip(alone.windows, together.windows, strict=True):
            torch.testing.assert_close(one[0], many[row], **CLOSE)


def test_a_window_token_sees_its_patches_and_itself():
    generator = torch.Generator().manual_seed(0)
    queries, keys, values = (
        torch.randn(2, 3, count, 4, generator=generator) for count in (5, 11, 11)
    )
    own = torch.rand(5, 6, generator=generator) > 0.5
    found = attend_own(queries, keys, values, own)
    for window in range(5):
        seen = [*own[window].nonzero().flatten().tolist(), 6 + window]
        logits = torch.einsum("bhd,bhkd->bhk", queries[:, :, window], keys[:, :, seen]) / 2
        truth = torch.einsum("bhk,bhkd->bhd", logits.softmax(-1), values[:, :, seen])
        torch.testing.assert_close(found[:, :, window], truth, **CLOSE)
