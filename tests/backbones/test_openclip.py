"""open_clip behind the FrozenClip face, against open_clip itself and slow references."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from finegrain.backbones.backbone import encode
from finegrain.backbones.clip.frozen_clip import FrozenClip, end_positions
from finegrain.backbones.efficientnet import parameters_hash
from finegrain.errors import ConfigError
from tests.backbones.conftest import frozen, pixels_for, tiny_model

SENTENCES = [
    "a resistor",
    "a photo of a long green capacitor with two bent leads at the left of the board",
    "",
    "two yellow, round and smooth tablets",
]
close = {"atol": 1e-5, "rtol": 0}


def slow_vv_patches(model, pixels):
    """Each image, block and head by itself, from the definition in method.md §1."""
    visual = model.visual
    features = []
    for image in pixels:
        x = visual._embeds(image[None])
        surgery = x[0].clone()
        for block in visual.transformer.resblocks:
            attention, width = block.attn, x.shape[-1]
            weight, bias = (
                attention.in_proj_weight[2 * width :],
                attention.in_proj_bias[2 * width :],
            )
            values = block.ln_1(x)[0] @ weight.T + bias
            size = width // attention.num_heads
            heads = []
            for start in range(0, width, size):
                v = values[:, start : start + size]
                heads.append(((v @ v.T) / size**0.5).softmax(-1) @ v)
            surgery += torch.cat(heads, -1) @ attention.out_proj.weight.T + attention.out_proj.bias
            x = block(x)
        features.append(visual.ln_post(surgery)[1:] @ visual.proj)
    return F.normalize(torch.stack(features), dim=-1)


@torch.no_grad()
def test_class_token_is_open_clips(clip):
    pixels = pixels_for(clip)
    truth = clip.model.encode_image(pixels, normalize=True)
    torch.testing.assert_close(clip.encode_images(pixels).image, truth, **close)


@torch.no_grad()
def test_patches_are_the_slow_vv_path(clip):
    pixels = pixels_for(clip)
    tokens = clip.encode_images(pixels)
    torch.testing.assert_close(tokens.patches, slow_vv_patches(clip.model, pixels), **close)
    assert not tokens.patches.allclose(tokens.image[:, None], atol=1e-2)


@torch.no_grad()
def test_memories_are_the_ordinary_patches_at_a_quarter_and_two_thirds(clip):
    pixels = pixels_for(clip)
    depths = {6: (1, 4), 12: (3, 8)}[len(clip.model.visual.transformer.resblocks)]
    truth = clip.model.forward_intermediates(
        pixels, image_indices=[depth - 1 for depth in depths], image_output_fmt="NLC"
    )["image_intermediates"]
    memories = clip.encode_images(pixels).memories
    for memory, expected in zip(memories, truth, strict=True):  # not of unit norm
        assert (memory - expected).norm() <= 1e-5 * expected.norm()


def test_tokens_are_of_unit_norm_and_without_gradient(clip):
    tokens = clip.encode_images(pixels_for(clip))
    for features in (tokens.image, tokens.patches, clip.encode_text(SENTENCES)):
        torch.testing.assert_close(features.norm(dim=-1), torch.ones(features.shape[:-1]))
        assert features.shape[-1] == clip.embed_dim
        assert not features.requires_grad


def test_batch_of_eight_is_eight_of_one(tiny):
    pixels = pixels_for(tiny, 8)
    whole = tiny.encode_images(pixels)
    for row in range(8):
        one = tiny.encode_images(pixels[row : row + 1])
        torch.testing.assert_close(one.image, whole.image[row : row + 1], **close)
        torch.testing.assert_close(one.patches, whole.patches[row : row + 1], **close)
    sentences = SENTENCES * 2
    alone = torch.cat([tiny.encode_text([sentence]) for sentence in sentences])
    torch.testing.assert_close(alone, tiny.encode_text(sentences), **close)


@torch.no_grad()
def test_text_is_open_clips_at_77_tokens(clip):
    ids = clip.tokenize(SENTENCES)
    truth = clip.model.encode_text(ids, normalize=True)
    assert ids.shape == (4, 77)
    torch.testing.assert_close(clip.encode_text(SENTENCES), truth, **close)
    prompts = clip.encode_prompts(clip.embed_tokens(ids), end_positions(ids))
    torch.testing.assert_close(prompts, truth, **close)


def test_what_stands_behind_the_end_token_changes_nothing(tiny):
    ids = tiny.tokenize(SENTENCES)
    ends, embeddings = end_positions(ids), tiny.embed_tokens(ids)
    behind = torch.arange(77) > ends[:, None]
    other = embeddings.masked_fill(behind[..., None], 7.0)
    truth = tiny.encode_prompts(embeddings, ends)
    torch.testing.assert_close(tiny.encode_prompts(other, ends), truth, **close)
    cut = embeddings[:, : int(ends.max()) + 1]
    torch.testing.assert_close(tiny.encode_prompts(cut, ends), truth, **close)


def test_a_sentence_that_is_too_long_still_ends(tiny):
    ids = tiny.tokenize(["capacitor " * 100])
    assert end_positions(ids).tolist() == [76]
    assert tiny.encode_text(["capacitor " * 100]).isfinite().all()


def test_only_prompt_embeddings_get_a_gradient(tiny):
    ids = tiny.tokenize(SENTENCES[:2])
    embeddings = tiny.embed_tokens(ids).requires_grad_()
    ends = end_positions(ids)
    tiny.encode_prompts(embeddings, ends)[:, 0].sum().backward()
    reached = embeddings.grad.abs().sum(-1) > 0
    assert (reached == (torch.arange(77) <= ends[:, None])).all()
    assert all(not p.requires_grad and p.grad is None for p in tiny.model.parameters())


def test_the_gradient_is_open_clips(tiny):
    ids = tiny.tokenize(SENTENCES)
    ours = tiny.embed_tokens(ids).requires_grad_()
    tiny.encode_prompts(ours, end_positions(ids))[:, 0].sum().backward()
    model, theirs = tiny.model, tiny.embed_tokens(ids).requires_grad_()
    x = model.transformer(theirs + model.positional_embedding, attn_mask=model.attn_mask)
    ends = model.ln_final(x)[torch.arange(4), ids.argmax(-1)] @ model.text_projection
    F.normalize(ends, dim=-1)[:, 0].sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, **close)


def test_prompts_longer_than_the_context_are_refused(tiny):
    with pytest.raises(ValueError, match="a prompt ends at token 80 of 90; tiny takes at most 77"):
        tiny.encode_prompts(torch.zeros(1, 90, 16), torch.tensor([79]))


@torch.no_grad()
def test_bfloat16_on_the_cpu_gives_float32_near_the_truth(tiny):
    low = frozen(tiny_model(), torch.bfloat16)
    assert {p.dtype for p in low.model.parameters()} == {torch.bfloat16}
    assert low.logit_scale == tiny.logit_scale
    pixels = pixels_for(tiny)
    found, truth = low.encode_images(pixels), tiny.encode_images(pixels)
    for ours, theirs in [
        (found.image, truth.image),
        (found.patches, truth.patches),
        (low.encode_text(SENTENCES), tiny.encode_text(SENTENCES)),
    ]:
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours.norm(dim=-1), torch.ones(ours.shape[:-1]))
        assert (ours * theirs).sum(-1).min() > 0.99
    assert {memory.dtype for memory in found.memories} == {torch.float32}


def test_logit_scale_is_exponentiated(tiny):
    assert tiny.logit_scale == pytest.approx(np.exp(tiny.model.logit_scale.item()))


def test_the_model_is_left_as_it_was():
    model = tiny_model()
    before, modules = parameters_hash(model), [type(m) for m in model.modules()]
    clip = frozen(model)
    clip.encode_images(pixels_for(clip))
    clip.encode_text(SENTENCES)
    assert clip.weights_hash == parameters_hash(model) == before
    assert [type(m) for m in model.modules()] == modules
    assert frozen(tiny_model(seed=1)).weights_hash != before


def test_preprocessing_and_the_face(tiny):
    face: FrozenClip = tiny  # mypy's word counts for the package; this is for the reader
    grey = np.full((50, 70, 3), 51, np.uint8)
    pixels = face.preprocess([grey, grey])
    assert pixels.shape == (2, 3, 32, 32)
    expected = (0.2 - torch.tensor(face.mean)) / torch.tensor(face.std)
    torch.testing.assert_close(pixels[0, :, 5, 5], expected)
    assert encode(face, [grey] * 3, batch_size=2).grid == (4, 4)


def test_pixels_of_another_size_are_refused(tiny):
    with pytest.raises(ValueError, match=r"needed pixels \(B,3,32,32\); got \(1, 3, 40, 40\)"):
        tiny.encode_images(torch.zeros(1, 3, 40, 40))


@pytest.mark.parametrize(
    ("vision", "message"),
    [
        ({"pool_type": "avg"}, "a class token .* not 'avg'"),
        ({"attentional_pool": True}, "a class token"),
        ({"qk_norm": True}, "plain residual attention blocks"),
        ({"layers": 1}, "two vision blocks"),
        ({"image_size": (32, 40)}, "a square input"),
        ({"layers": (1, 1, 1, 1), "head_width": 32}, "is a ModifiedResNet; needed a ViT"),
    ],
)
def test_architectures_that_would_be_wrong_are_refused(vision, message):
    with pytest.raises(ConfigError, match=message):
        frozen(tiny_model(**vision))


def test_half_precision_needs_a_gpu():
    with pytest.raises(ConfigError, match="float16 needs a GPU"):
        frozen(tiny_model(), torch.float16)
    with pytest.raises(ConfigError, match=r"no precision torch\.float64; known"):
        frozen(tiny_model(), torch.float64)
