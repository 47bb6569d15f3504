"""The prompt bank against prompts encoded one by one."""

import pytest
import torch
import torch.nn.functional as F

from finegrain.backbones.clip.frozen_clip import end_positions
from finegrain.captions import Caption, find_caption
from finegrain.method.config import LossConfig, PromptConfig, TrainingConfig
from finegrain.method.losses import OBJECTIVES, Seen, alignment_losses
from finegrain.method.prompt_rows import PromptRows
from finegrain.method.prompts import HANDCRAFTED, LEARNABLE, NORMAL, PromptBank
from finegrain.method.training import descend
from finegrain.method.units import caption_units
from tests.backbones.conftest import frozen, tiny_model
from tests.conftest import PLATE

UNITS = caption_units(Caption.model_validate(PLATE))


@pytest.fixture(scope="module")
def bank(backbone):
    return PromptBank(backbone, UNITS, PromptConfig(), seed=3)


def one_by_one(clip, text, context):
    """Start, context, sentence, end: written out for a single sentence."""
    ids = clip.tokenize([text])
    end = int(end_positions(ids))
    words = clip.embed_tokens(ids)[0]
    embeddings = torch.cat([words[:1], context, words[1 : end + 1]])[None]
    return clip.encode_prompts(embeddings, torch.tensor([embeddings.shape[1] - 1]))[0]


def test_prompts_are_counted_per_unit(bank):
    features = bank()
    for index, unit in enumerate(UNITS):
        attributes = {value.attribute for value in unit.values}
        assert len(features.of(index, NORMAL)) == 1
        assert len(features.of(index, HANDCRAFTED)) == len(unit.defects) + len(attributes)
        assert len(features.of(index, LEARNABLE)) == 4
    torch.testing.assert_close(features.features.norm(dim=-1), torch.ones(len(features.unit)))


def test_handcrafted_prompts_are_the_sentences_behind_their_context(bank, backbone):
    features = bank()
    for index, unit in enumerate(UNITS):
        normal = one_by_one(backbone, unit.sentence, bank.context[index])
        torch.testing.assert_close(features.of(index, NORMAL)[0], normal, atol=1e-5, rtol=0)
        flawed = one_by_one(backbone, f"{unit.sentence} with hole", bank.context[index])
        torch.testing.assert_close(features.of(index, HANDCRAFTED)[0], flawed, atol=1e-5, rtol=0)


def test_learnable_prompts_have_gated_placeholders_for_values(bank, backbone):
    """The background "white background": its colour gives way to one gated vector."""
    index = len(UNITS) - 1
    words = backbone.embed_tokens(backbone.tokenize(["white background"]))[0]
    rows = (bank.unit[bank.prompts.slots[:, 0]] == index).nonzero().ravel()
    assert len(rows) == 4  # one value, four ALPs
    slot = int(rows[0])
    open_word = torch.sigmoid(bank.gates[slot]) * bank.placeholders[slot]
    parts = [words[:1], bank.context[index], open_word, words[2:4]]
    expected = backbone.encode_prompts(torch.cat(parts)[None], torch.tensor([7]))[0]
    torch.testing.assert_close(bank().of(index, LEARNABLE)[0], expected, atol=1e-5, rtol=0)


def test_initial_vectors_are_as_long_as_asked(backbone):
    """In lengths of the tokens that the prompts are made of; else small, as CoOp has it."""
    ids = backbone.tokenize(["white background"])
    token = backbone.embed_tokens(ids)[0, 1:3].norm(dim=-1).mean()
    background = [UNITS[-1]]
    for initial, expected in ((1.0, token), (0.5, token / 2), (0.0, 0.02 * 192**0.5)):
        bank = PromptBank(backbone, background, PromptConfig(initial=initial), seed=3)
        vectors = torch.cat([bank.context.flatten(0, 1), bank.placeholders[:, 0]]).detach()
        assert float(vectors.norm(dim=-1).mean()) == pytest.approx(float(expected), rel=0.15)


def test_an_exclamation_mark_is_a_token_like_others(backbone):
    """Its id is 0, which is neither a placeholder nor the end."""
    rows = PromptRows(backbone, 1)
    rows.add(rows.pieces("white ! background"))
    ids = backbone.tokenize(["white ! background"])[0]
    assert rows.tokens[0][2:] == ids[1 : 1 + 4].tolist()


@pytest.fixture(scope="module")
def toy():
    """A small CLIP's prompts, and tokens of two shots that they are to be aligned with."""
    clip = frozen(tiny_model())
    generator = torch.Generator().manual_seed(0)
    tokens, classes = (
        F.normalize(torch.randn(count, clip.embed_dim, generator=generator), dim=-1)
        for count in (32, 2)
    )
    weights = 1 + 1.5 * torch.rand(len(UNITS), 32, generator=generator)
    return clip, Seen(tokens, weights, classes)


def total_loss(bank, seen):
    """All objectives on prompts alone; the Query Former is tested by itself."""
    losses = alignment_losses(bank(), UNITS, seen, bank().normal(), 14.0, LossConfig())
    return {name: losses[name] for name in OBJECTIVES if name != "query"}


@pytest.mark.parametrize(
    ("name", "step"), [("context", 0.01), ("placeholders", 0.01), ("gates", 0.2)]
)
def test_the_first_step_goes_down_the_slope_of_the_losses(toy, name, step):
    """SGD at 2e-3 with weight decay 5e-4; the slope of each number is found by moving it alone."""
    clip, seen = toy
    bank = PromptBank(clip, UNITS, PromptConfig(), seed=3)
    weights = {"clip": 1.0, "triplet": 0.5, "mean": 2.0, "regularization": 1.5}

    @torch.no_grad()
    def loss_at(place, value):
        own = bank.get_parameter(name).flatten()
        before = own[place].item()
        own[place] = value
        found = sum(weights[k] * float(loss) for k, loss in total_loss(bank, seen).items())
        own[place] = before
        return found

    begun = bank.get_parameter(name).detach().flatten().clone()
    places = torch.linspace(0, len(begun) - 1, 6).long().tolist()
    slopes = []
    for i in places:  # differences of the fourth order
        near, far = (
            loss_at(i, float(begun[i]) + h) - loss_at(i, float(begun[i]) - h)
            for h in (step, 2 * step)
        )
        slopes.append((8 * near - far) / (12 * step))
    assert min(map(abs, slopes)) > 1e-5  # each of them learns
    for _ in descend(
        list(bank.parameters()), lambda: total_loss(bank, seen), weights, TrainingConfig(epochs=1)
    ):
        pass
    moved = (bank.get_parameter(name).detach().flatten() - begun)[places]
    expected = [
        -2e-3 * (slope + 5e-4 * float(begun[i])) for slope, i in zip(slopes, places, strict=True)
    ]
    torch.testing.assert_close(moved, torch.tensor(expected), rtol=0.03, atol=3e-8)


def test_nothing_else_learns(bank, backbone):
    bank().features.sum().backward()
    assert {name for name, _ in bank.named_parameters()} == {"context", "placeholders", "gates"}
    assert not bank.prompts.base.requires_grad
    assert all(p.grad is None for p in backbone._model.parameters())


def test_a_defect_behind_a_long_sentence_is_not_cut_off(backbone):
    long = caption_units(find_caption("factory", "pcb"))[0]
    bank = PromptBank(backbone, [long], PromptConfig(context=16), seed=0)
    assert int(bank.prompts.ends.max()) == 76  # of 77
    for row, defect in enumerate(long.defects, start=1):
        ids = backbone.tokenize([defect])
        words = backbone.embed_tokens(ids)[0, 1 : int(end_positions(ids))]
        end = int(bank.prompts.ends[row])
        torch.testing.assert_close(bank.prompts.base[row, end - len(words) : end], words)
