from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Self

from billing.turns import IDLE_ROUNDS, OTHERS_FACTOR, Turns


def work(seconds: float) -> None:
    """Keep the loop."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


class Others:
    """Who else uses the loop: `round_s` in each of its rounds."""

    def __init__(self, round_s: float) -> None:
        self.round_s = round_s
        self.rounds = 0
        self.worked_s = 0.0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._work())
        await asyncio.sleep(0)
        self.rounds, self.worked_s = 0, 0.0
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _work(self) -> None:
        while True:
            self.rounds += 1
            begin = time.monotonic()
            work(self.round_s)
            self.worked_s += time.monotonic() - begin
            await asyncio.sleep(0)


async def test_who_is_busy_gets_his_share_before_more_is_done_that_nobody_waits_for() -> None:
    async with Others(0.002) as others:
        turns = Turns()
        work(0.01)
        await turns.give()

        assert others.worked_s >= (OTHERS_FACTOR - 1) * 0.01


async def test_where_nobody_has_anything_to_do_work_goes_on_after_a_few_rounds() -> None:
    async with Others(0) as others:
        turns = Turns()
        work(1)
        await turns.give()

        assert others.rounds < 1000 * IDLE_ROUNDS  # by its share of four seconds there would be many thousands
