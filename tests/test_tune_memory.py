import asyncio

import pytest

from tune.execution.memory import WHOLE_CARD, Gate, Gates, MemoryRequest


class Card:
    """A gate and the trials that came through it, in order."""

    def __init__(self, capacity):
        self.gate = Gate(capacity)
        self.entered = []
        self.tasks = []

    async def come(self, trial_id, need, kind=None):
        async def enter():
            await self.gate.enter(trial_id, kind or trial_id, need)
            self.entered.append(trial_id)

        self.tasks.append(asyncio.ensure_future(enter()))
        await _settle()

    async def go(self, trial_id):
        await self.gate.leave(trial_id)
        await _settle()


async def _settle():
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def play():
    return asyncio.run


def test_small_trials_share_and_a_big_one_waits(play):
    async def story():
        card = Card(10)
        for trial_id, need in (("a", 4), ("b", 4), ("big", 9), ("c", 1)):
            await card.come(trial_id, need)
        # c would fit, but it came after big, which would wait for ever if all passed it.
        assert card.entered == ["a", "b"]
        await card.go("a")
        assert card.entered == ["a", "b"]
        await card.go("b")
        assert card.entered == ["a", "b", "big", "c"]

    play(story())


def test_a_trial_that_fits_beside_nobody_is_let_in_alone(play):
    async def story():
        card = Card(10)
        await card.come("small", 1)
        await card.come("huge", 50)
        assert card.entered == ["small"]
        await card.go("small")
        assert card.entered == ["small", "huge"]

    play(story())


def test_what_was_measured_counts_from_then_on(play):
    async def story():
        card = Card(10)
        await card.gate.leave("before", "k", 3)
        for trial_id in ("a", "b", "c", "d"):
            await card.come(trial_id, 9, kind="k")
        assert card.entered == ["a", "b", "c"]

    play(story())


def test_without_a_measured_peak_the_estimate_counts(play):
    async def story():
        card = Card(10)
        await card.gate.leave("before", "k", 0)
        for trial_id in ("a", "b"):
            await card.come(trial_id, 6, kind="k")
        assert card.entered == ["a"]

    play(story())


def test_alone_means_alone_whatever_was_measured(play):
    async def story():
        card = Card(10)
        await card.gate.leave("before", "k", 3)
        await card.come("a", 3)
        await card.come("again", WHOLE_CARD, kind="k")
        assert card.entered == ["a"]
        await card.go("a")
        await card.come("b", 1)
        assert card.entered == ["a", "again"]

    play(story())


def test_leaving_twice_or_uninvited_does_no_harm(play):
    async def story():
        card = Card(10)
        await card.go("stranger")
        await card.come("a", 10)
        await card.go("a")
        await card.go("a")
        await card.come("b", 10)
        assert card.entered == ["a", "b"]

    play(story())


def test_an_attempt_that_died_in_the_queue_holds_up_nobody(play):
    async def story():
        card = Card(10)
        await card.come("a", 10)
        await card.come("dead", 10)
        await card.come("b", 10)
        await card.go("dead")
        await card.go("a")
        assert card.entered[-1] == "b"

    play(story())


def test_a_trial_is_told_its_share_of_the_card(play):
    async def story():
        gate = Gate(10)
        assert await gate.enter("a", "k", 4) == 0.4
        await gate.leave("a", "k", 3)
        assert await gate.enter("b", "k", 4) == 0.3
        await gate.leave("b", "k", 2)
        assert await gate.enter("c", "k", 4) == 0.3, "the most that was measured counts"
        await gate.leave("c")
        assert await gate.enter("d", "k", WHOLE_CARD) == 1.0
        await gate.leave("d", "k", 30)
        assert await gate.enter("e", "k", 4) == 1.0, "no share is more than the card"

    play(story())


def test_what_fits_exactly_is_let_in_at_once(play):
    async def story():
        card = Card(10)
        await card.come("a", 6)
        await card.come("b", 4)
        await card.come("c", 1)
        assert card.entered == ["a", "b"]

    play(story())


def test_another_attempt_of_a_trial_takes_the_place_of_the_first(play):
    async def story():
        card = Card(10)
        await card.come("a", 6)
        await card.come("a", 6)
        assert card.entered == ["a", "a"]
        await card.come("b", 4)
        assert card.entered == ["a", "a", "b"]

    play(story())


def test_each_card_has_a_gate_of_its_own(play):
    async def story():
        gates = Gates()
        request = {"card_bytes": 10, "kind": "k", "estimate": 8}
        first, second = (MemoryRequest(card=name, **request) for name in ("one", "two"))
        assert await gates.enter("a", first, exclusive=False) == 0.8
        assert await gates.enter("b", second, exclusive=True) == 1.0
        late = asyncio.ensure_future(gates.enter("c", first, exclusive=False))
        await _settle()
        assert not late.done()
        await gates.leave("b")
        await _settle()
        assert not late.done()
        await gates.leave("a", "k", 5)
        assert await late == 0.8

    play(story())


def test_a_trial_that_waits_for_one_of_two_cards_waits(play):
    async def story():
        gates = Gates()
        assert not await gates.waits("a")
        request = {"card_bytes": 10, "kind": "k", "estimate": 8}
        first, second = (MemoryRequest(card=name, **request) for name in ("one", "two"))
        await gates.enter("a", first, exclusive=False)
        await gates.enter("b", second, exclusive=False)
        late = asyncio.ensure_future(gates.enter("c", first, exclusive=False))
        await _settle()
        assert [await gates.waits(one) for one in ("a", "b", "c")] == [False, False, True]
        await gates.leave("a")
        await late

    play(story())


def test_the_watchdog_can_ask_who_waits_for_memory(play):
    async def story():
        gates = Gates()

        async def come(trial_id, need):
            request = MemoryRequest(card="c", card_bytes=10, kind=trial_id, estimate=need)
            await gates.enter(trial_id, request, exclusive=False)

        tasks = [asyncio.ensure_future(come(trial_id, 9)) for trial_id in ("in", "out")]
        await _settle()
        assert [await gates.waits(one) for one in ("in", "out", "unknown")] == [False, True, False]
        await gates.leave("in")
        await asyncio.gather(*tasks)
        assert not await gates.waits("out")

    play(story())
