"""The timing that `make bench-clip` prints, on clocks that only the calls move."""

from types import SimpleNamespace

import pytest
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import timing
from benchmarks.timing import SENTENCES, Timing, interleaved, time_images, time_prompts


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until a test moves it."""
    hands = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: hands.seconds))
    return hands


@pytest.fixture
def operations(monkeypatch):
    """A clock that counts floating-point operations: no other process moves it."""
    with FlopCounterMode(display=False) as counter:
        read = SimpleNamespace(perf_counter=counter.get_total_flops)
        monkeypatch.setattr(timing, "time", read)
        yield counter


def test_calls_take_turns_and_the_first_does_not_count(clock):
    turns = []
    # each takes its seconds in turn; the first, which warms up, would spoil every median
    takes = {"a": [99.0, 1.0, 7.0, 3.0], "b": [50.0, 2.0, 2.0, 40.0]}

    def call(name):
        clock.seconds += takes[name][turns.count(name)]
        turns.append(name)

    calls = {name: lambda name=name: call(name) for name in takes}
    found = interleaved(calls, rounds=3, device="cpu")
    assert "".join(turns) == "abababab"
    assert found.seconds == {"a": 3.0, "b": 2.0}


def test_a_ratio_is_of_the_one_to_the_other():
    assert Timing({"a": 3.0, "b": 2.0}).ratio("a", to="b") == pytest.approx(1.5)


@pytest.mark.usefixtures("operations")
def test_cut_prompts_are_less_work_by_the_tokens_they_lack(tiny):
    longest = int((tiny.tokenize(SENTENCES) > 0).sum(1).max())  # the padding is token 0
    prompts = time_prompts(tiny, rounds=1)
    assert len(set(SENTENCES)) == 60
    # a token's own layers cost the same for each; between tokens it is the square
    for way in ("", ", backward"):
        ratio = prompts.ratio(f"77{way}", to=f"cut{way}")
        assert 77 / longest < ratio < (77 / longest) ** 2
    assert prompts.seconds["open_clip"] == pytest.approx(prompts.seconds["77"], rel=0.01)


@pytest.mark.usefixtures("operations")
def test_both_paths_are_more_work_than_one(tiny):
    images = time_images(tiny, 2, rounds=1)
    assert 1 < images.ratio("both", to="open_clip") < 2
