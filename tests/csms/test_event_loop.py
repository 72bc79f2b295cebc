"""Who waits for an answer is not held up by a search for garbage, and garbage does not pile up."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.event_loop import GROWN, GROWN_FAST, GROWN_MAX, LOOK_S, LOOKS, Collector, is_worth_collecting
from tests.examples import tried

_counts = st.integers(0, GROWN_MAX)


@tried(200)
@given(st.lists(_counts, min_size=LOOKS, max_size=LOOKS), st.integers(0, LOOKS - 1))
def test_what_is_gone_after_a_batch_is_not_looked_through(grown: list[int], place: int) -> None:
    grown[place] = min(grown[place], GROWN - 1)
    assert not is_worth_collecting(grown)


@tried(200)
@given(st.lists(_counts, max_size=LOOKS - 1))
def test_a_short_time_tells_nothing_of_what_stays(grown: list[int]) -> None:
    assert not is_worth_collecting(grown)


@tried(200)
@given(st.lists(st.integers(GROWN, GROWN_FAST - 1), min_size=LOOKS - 1, max_size=LOOKS - 1))
def test_what_stays_is_collected_when_a_batch_is_gone_and_not_while_there_is_one(grown: list[int]) -> None:
    assert is_worth_collecting([*grown, min(grown)])
    assert not is_worth_collecting([*grown, min(grown) * 2])


@tried(200)
@given(st.lists(st.integers(GROWN_FAST, GROWN_MAX), min_size=LOOKS, max_size=LOOKS))
def test_what_grows_and_grows_is_collected_whenever(grown: list[int]) -> None:
    assert is_worth_collecting(grown)


class _Circle:
    """Garbage that holds itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def collector_as_it_was() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


@pytest.mark.usefixtures("collector_as_it_was")
async def test_garbage_that_holds_itself_is_gone_within_seconds() -> None:
    Collector().start()
    circles = [_Circle() for _ in range(GROWN)]
    gone = asyncio.Event()
    last = weakref.ref(circles[-1], lambda _: gone.set())
    del circles
    assert last() is not None
    async with asyncio.timeout(60):
        await gone.wait()


@pytest.mark.usefixtures("collector_as_it_was")
async def test_a_batch_is_not_looked_through_while_it_is_there() -> None:
    Collector().start()
    begin = [each["collections"] for each in gc.get_stats()]
    for _ in range(LOOKS):
        batch = [[n] for n in range(2 * GROWN)]
        await asyncio.sleep(LOOK_S)
        del batch
        await asyncio.sleep(LOOK_S)
    assert [each["collections"] for each in gc.get_stats()] == begin
