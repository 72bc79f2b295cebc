"""A fleet that comes at once is looked up together, many in one question: who is in already finds the database free."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from csms.charge_points.charge_point import ChargePoint
from csms.database.errors import DatabaseUnavailable
from csms.database.pool import is_unavailable
from csms.gateway import metrics

TOGETHER_MAX = 100
STUCK_S = 0.25
"""A question that gets no answer for so long keeps only those waiting who stand in it: the next is asked beside it."""
AT_ONCE_MAX = 2


class _Knock(NamedTuple):
    """`since` is the loop's clock."""

    identity: str
    found: asyncio.Future[ChargePoint | None]
    since: float


class Admission:
    """Turns at the database for those who knock. `run()` in a TaskGroup; there is no timer, who comes alone waits for nobody."""

    def __init__(
        self, find_all: Callable[[Sequence[str]], Awaitable[Mapping[str, ChargePoint]]], *, patience_s: float
    ) -> None:
        """`find_all`: those that there are, by identity as asked for.

        `patience_s`: how long an answer is waited for; who knocks in vain for so long comes back by himself.
        """
        self._find_all = find_all
        self._patience_s = patience_s
        self._knocks: list[_Knock] = []
        self._wake = asyncio.Event()
        self._is_closed = False

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                asked: set[asyncio.Task[None]] = set()
                while True:
                    await self._wake.wait()
                    asked.add(tasks.create_task(self._answer(self._next())))
                    await asyncio.wait(asked, timeout=STUCK_S, return_when=asyncio.FIRST_COMPLETED)
                    asked = {each for each in asked if not each.done()}
                    if len(asked) == AT_ONCE_MAX:
                        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
                        asked = {each for each in asked if not each.done()}
        finally:
            self._is_closed = True
            _refuse(self._knocks, DatabaseUnavailable("the server is stopping"))

    async def find(self, identity: str) -> ChargePoint | None:
        """The charge point of an identity, when it is this one's turn.

        Raises:
            TimeoutError: it was not, or there was no answer, for as long as patience lasts.
            Exception: what the question has raised.
        """
        if self._is_closed:
            raise DatabaseUnavailable("the server is stopping")
        loop = asyncio.get_running_loop()
        found: asyncio.Future[ChargePoint | None] = loop.create_future()
        knock = _Knock(identity, found, loop.time())
        deadline = loop.call_later(self._patience_s, _refuse, (knock,), TimeoutError("the database did not answer"))
        self._knocks.append(knock)
        self._wake.set()
        metrics.ADMISSION_WAITING.inc()
        try:
            return await found
        finally:
            metrics.ADMISSION_WAITING.dec()
            deadline.cancel()

    def _next(self) -> list[_Knock]:
        knocks, self._knocks = self._knocks[:TOGETHER_MAX], self._knocks[TOGETHER_MAX:]
        if not self._knocks:
            self._wake.clear()
        now = asyncio.get_running_loop().time()
        for knock in knocks:
            metrics.ADMISSION_WAIT_SECONDS.observe(now - knock.since)
        return [each for each in knocks if not each.found.done()]

    async def _answer(self, knocks: Sequence[_Knock]) -> None:
        if not knocks:
            return
        try:
            found = await self._find_all(list({knock.identity for knock in knocks}))
        except asyncio.CancelledError:
            _refuse(knocks, DatabaseUnavailable("the server is stopping"))
            raise
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait, and the next have to be asked for
            if len(knocks) == 1 or is_unavailable(error):
                _refuse(knocks, error)
                return
            for knock in knocks:  # somebody has asked what cannot be asked
                await self._answer([knock])
        else:
            for knock in knocks:
                if not knock.found.done():
                    knock.found.set_result(found.get(knock.identity))


def _refuse(knocks: Sequence[_Knock], error: Exception) -> None:
    for knock in knocks:
        if not knock.found.done():
            knock.found.set_exception(error)
