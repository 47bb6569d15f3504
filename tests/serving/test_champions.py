"""One thread asks the registry; what it heard stays when the registry is away."""

import time
from contextlib import contextmanager

import pytest

from finegrain.serving.champions import ChampionPoller
from finegrain.tracking import Champion

FIRST = {"d/c": Champion("d", "c", "1")}
SECOND = {"d/c": Champion("d", "c", "2", ("1",))}


def wait_until(true, seconds=10):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Register:
    """Answers as it is told, and counts."""

    def __init__(self, answer):
        self.answer, self.asked = answer, 0

    def champions(self):
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@contextmanager
def polling(register, seconds=0.01, **options):
    poller = ChampionPoller(register, seconds, **options)
    try:
        yield poller
    finally:
        poller.stop()


def test_the_registry_is_asked_once_an_interval_whoever_wants_to_know():
    register = Register(FIRST)
    with polling(register, seconds=60) as poller:
        wait_until(lambda: poller.heard is not None)
        assert [poller.heard for _ in range(5)] == [FIRST] * 5
    assert register.asked == 1


def test_a_registry_that_is_away_leaves_what_was_known():
    register = Register(ConnectionError("away"))
    with polling(register) as poller:
        with pytest.raises(ConnectionError):
            poller.ask()
        assert poller.heard is None
        register.answer = FIRST
        wait_until(lambda: poller.heard == FIRST)
        register.answer = ConnectionError("away")
        before = register.asked
        wait_until(lambda: register.asked > before + 2)
        assert poller.heard == FIRST
        register.answer = SECOND
        wait_until(lambda: poller.heard == SECOND)


def test_who_wants_to_be_told_is_told_each_answer_and_may_fail():
    told = []

    def notice(champions):
        told.append(champions["d/c"].version)
        raise ValueError

    register = Register(FIRST)
    with polling(register, notice=notice):
        wait_until(lambda: len(told) > 1)
        register.answer = SECOND
        wait_until(lambda: told[-1] == "2")
    asked = register.asked
    time.sleep(0.05)
    assert register.asked <= asked + 1
