"""Sending many documents: those of a seller that were issued from a day to a day, or some by their numbers.

It may be stopped at any moment and run again: what was sent is found to be so. Nothing is kept in memory but a page of ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import date
from typing import Any, Final

import asyncpg

from billing.sending.service import SQL, Sending
from billing.sending.told import Days, SendTally, Sent, Told

PAGE: Final = 100
"""Documents looked for together."""
WORKERS: Final = 2
"""Documents that are made beside each other: each takes a core for a moment."""
SETTLED_AFTER: Final = 200
"""So many documents, and the archive is tidied up."""


class SendRun:
    """One run over days, or over documents by their ids; `on_told` hears of each."""

    def __init__(
        self,
        pool: asyncpg.Pool[Any],
        sending: Sending,
        wanted: Days | Sequence[int],
        *,
        on_told: Callable[[Told], None],
        workers: int = WORKERS,
    ) -> None:
        self._pool = pool
        self._sending = sending
        self._wanted = wanted
        self._on_told = on_told
        self._workers = workers
        self.tally = SendTally()

    async def count(self) -> int:
        """How many documents it looks at."""
        if not isinstance(self._wanted, Days):
            return len(self._wanted)
        days = self._wanted
        async with self._pool.acquire() as connection:
            found: int = await SQL.count_documents.fetchval(
                connection, seller=days.seller, since=days.since, until=days.until
            )
        return found

    async def run(self) -> SendTally:
        """Do it. What cannot be sent is told and left out; the rest goes on.

        Raises:
            Unavailable: the archive cannot be written.
        """
        waiting: asyncio.Queue[int | None] = asyncio.Queue(maxsize=2 * self._workers)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._workers):
                    group.create_task(self._work(waiting))
                async for id_ in self._ids():
                    await waiting.put(id_)
                for _ in range(self._workers):
                    await waiting.put(None)
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        await self._sending.settle()
        return self.tally

    async def _ids(self) -> AsyncIterator[int]:
        if not isinstance(self._wanted, Days):
            for id_ in self._wanted:
                yield id_
            return
        days = self._wanted
        after = (date.min, 0)
        while True:
            async with self._pool.acquire() as connection:
                rows = await SQL.next_documents.fetch(
                    connection, seller=days.seller, since=days.since, until=days.until, after_day=after[0],
                    after=after[1], limit=PAGE,
                )  # fmt: skip
            for row in rows:
                yield row["id"]
            if len(rows) < PAGE:
                return
            after = (rows[-1]["issued_on"], rows[-1]["id"])

    async def _work(self, waiting: asyncio.Queue[int | None]) -> None:
        from billing.documents.press import Press  # noqa: PLC0415 - typst and Babel take long to load

        press = Press()
        while (id_ := await waiting.get()) is not None:
            told = await self._sending.send(id_, press)
            self.tally.count(told)
            self._on_told(told)
            if isinstance(told, Sent) and self.tally.sent % SETTLED_AFTER == 0:
                await self._sending.settle()
