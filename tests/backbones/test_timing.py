"""The timing that the benchmark prints: who is called how often, and what is compared."""

import pytest

from benchmarks.timing import SENTENCES, Timing, interleaved, time_images, time_prompts


def test_calls_take_turns_and_the_first_does_not_count():
    turns = []
    calls = {name: lambda name=name: turns.append(name) for name in ("a", "b")}
    timing = interleaved(calls, rounds=3, device="cpu")
    assert "".join(turns) == "abababab"
    assert set(timing.seconds) == {"a", "b"}
    assert Timing({"a": 3.0, "b": 2.0}).ratio("a", to="b") == pytest.approx(1.5)


def test_sixty_prompts_and_both_paths_are_timed(tiny):
    assert len(set(SENTENCES)) == 60
    assert set(time_images(tiny, 2, rounds=1).seconds) == {"both", "open_clip"}
    prompts = time_prompts(tiny, rounds=1)
    assert prompts.ratio("77", to="cut") > 1
    assert prompts.ratio("77, backward", to="cut, backward") > 1
