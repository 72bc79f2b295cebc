"""The cost on the charge point's display: each new bill's total, where the charge point can show it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import asyncpg
import structlog

from csms.database.pool import is_unavailable
from csms.protocol.vocabulary import Command, Outcome, Protocol, ShowCost
from csms.sessions.store import SQL

log = structlog.get_logger()

PENDING_MAX = 10_000
WORKERS = 8

Send = Callable[[str, Command], Awaitable[Outcome]]


class Display:
    """Sends the newest total of a session; an older one that still waits is not worth sending.

    Totals of one session leave one after the other, so that the last one that a driver sees is the newest.
    """

    def __init__(self, pool: asyncpg.Pool[Any], send: Send) -> None:
        self._pool = pool
        self._send = send
        self._newest: dict[int, Decimal] = {}
        self._turns: asyncio.Queue[int] = asyncio.Queue(maxsize=PENDING_MAX)
        self._being_shown: set[int] = set()

    def show(self, session: int, total_incl_tax: Decimal) -> None:
        """Have this total shown as soon as may be. What is displayed is the figure that is billed."""
        taken_care_of = session in self._newest or session in self._being_shown
        if not taken_care_of and self._turns.full():
            return  # the next bill of the session tries again
        self._newest[session] = total_incl_tax
        if not taken_care_of:
            self._turns.put_nowait(session)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(WORKERS):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        while True:
            session = await self._turns.get()
            self._being_shown.add(session)
            while session in self._newest:
                total = self._newest.pop(session)
                try:
                    await self._show(session, total)
                except Exception as error:
                    if not is_unavailable(error):
                        log.exception("cost_not_shown", session=session)
            self._being_shown.discard(session)

    async def _show(self, session: int, total: Decimal) -> None:
        async with self._pool.acquire() as connection:
            row = await SQL.display_of.fetchrow(connection, session=session)
        if row is None or row["protocol"] == Protocol.V16:
            return
        outcome = await self._send(row["charge_point"], ShowCost(transaction=row["transaction"], total_cost=total))
        log.debug("cost_shown", session=session, total=str(total), status=outcome.status)
