"""Tokens say what does not fit together, and batches join in their order."""

import pytest
import torch

from finegrain.backbones import PatchTokens

GRID = (2, 3)


def tokens(count, seed):
    generator = torch.Generator().manual_seed(seed)
    draw = [torch.randn(count, *shape, generator=generator)
            for shape in ((4,), (6, 4), (6, 5), (2, 4), (6, 7))]  # fmt: skip
    image, patches, memory, windows, ordinary = draw
    return PatchTokens(image, patches, (memory,), GRID, (windows,), ordinary)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grid": (2, 2)}, r"6 patches do not fill a grid of \(2, 2\)"),
        ({"image": torch.zeros(2, 5)}, r"image tokens are \(2, 5\), not \(2, 4\)"),
        ({"memories": (torch.zeros(2, 5, 9),)}, r"memory 0 is \(2, 5, 9\), not \(2, 6, width\)"),
        ({"windows": (torch.zeros(1, 2, 4),)}, r"windows 0 are \(1, 2, 4\), not \(2, windows, 4\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(changes, message):
    given = {"image": torch.zeros(2, 4), "patches": torch.zeros(2, 6, 4), "memories": (),
             "grid": GRID} | changes  # fmt: skip
    with pytest.raises(ValueError, match=message):
        PatchTokens(**given)


def test_joined_batches_are_taken_apart_again():
    first, second = tokens(2, 0), tokens(3, 1)
    joined = PatchTokens.concatenate([first, second])
    assert len(joined) == 5
    for part, rows in ((first, slice(0, 2)), (second, slice(2, 5))):
        found = joined[rows]
        for name in ("image", "patches", "ordinary"):
            assert torch.equal(getattr(found, name), getattr(part, name)), name
        assert torch.equal(found.memories[0], part.memories[0])
        assert torch.equal(found.windows[0], part.windows[0])
    with pytest.raises(ValueError, match="needs at least one batch"):
        PatchTokens.concatenate([])
