"""Work that nobody waits for leaves the loop to those who are waited for."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.turns import BUSY_MAX, KEPT_S_MAX, RESTS_S_MAX, SHARE_MIN, Turns, rest_s

SHARES = st.floats(0, 1)


def work(seconds: float) -> None:
    """Keep the loop, and a core."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@contextlib.asynccontextmanager
async def busy_others() -> AsyncIterator[list[float]]:
    """Who else uses the loop, whenever it is free; what they have worked."""
    worked_s: list[float] = []

    async def go_on() -> None:
        while True:
            work(0.002)
            worked_s.append(0.002)
            await asyncio.sleep(0)

    task = asyncio.create_task(go_on())
    try:
        yield worked_s
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@given(kept=st.floats(KEPT_S_MAX, 10), others=SHARES)
def test_others_and_ours_together_leave_room_for_what_comes_in_a_moment(kept: float, others: float) -> None:
    ours = kept / (kept + rest_s(kept, others=others))

    assert ours >= SHARE_MIN - 1e-9  # however busy they are
    assert ours + others <= BUSY_MAX + 1e-9 or ours == pytest.approx(SHARE_MIN)


@given(kept=st.floats(KEPT_S_MAX, 10), others=SHARES, more=SHARES)
def test_the_busier_others_are_the_longer_is_the_rest(kept: float, others: float, more: float) -> None:
    less, more = sorted((others, more))

    assert rest_s(kept, others=less) <= rest_s(kept, others=more)


async def test_who_is_busy_gets_his_share_before_more_is_done_that_nobody_waits_for() -> None:
    async with busy_others() as worked_s:
        turns = Turns()
        for _ in range(20):  # it shows how busy they are
            work(2 * KEPT_S_MAX)
            await turns.give()
        worked_s.clear()
        work(2 * KEPT_S_MAX)
        await turns.give()

        assert sum(worked_s) >= 5 * KEPT_S_MAX


async def test_a_piece_of_work_that_holds_locks_does_not_rest_for_ever() -> None:
    async with busy_others():
        turns, worked_s, begin = Turns(), 0.0, time.monotonic()
        for _ in range(10):
            since = time.monotonic()
            work(0.05)
            worked_s += time.monotonic() - since
            await turns.give()

        assert time.monotonic() - begin - worked_s < 2 * RESTS_S_MAX  # ten such rests would be nine seconds


async def test_before_it_was_kept_for_a_while_nobody_gives_up_the_loop() -> None:
    async def gives() -> bool:
        turns, others = Turns(), asyncio.Event()
        asyncio.get_running_loop().call_soon(others.set)
        await turns.give()
        return others.is_set()

    assert not all([await gives() for _ in range(50)])  # now and then the machine itself keeps it for a while
