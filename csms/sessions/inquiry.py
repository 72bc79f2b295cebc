"""Asks 2.x charge points about transactions whose events have not all come (GetTransactionStatus)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Any

import asyncpg
import structlog

from csms.database.pool import is_unavailable
from csms.protocol.vocabulary import AskTransactionStatus, Outcome
from csms.sessions.store import SQL, utc_now
from csms.settings import Settings

log = structlog.get_logger()

Ask = Callable[[str, AskTransactionStatus], Awaitable[Outcome]]


class Inquiry:
    """Each node asks the charge points whose sockets it holds, at most as often as there are delays."""

    def __init__(
        self, pool: asyncpg.Pool[Any], settings: Settings, *, held: Callable[[], Iterable[str]], ask: Ask
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._held = held
        self._ask = ask

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._settings.sweep_interval_s)
            try:
                await self.sweep()
            except Exception as error:
                if not is_unavailable(error):
                    log.exception("inquiry_failed")

    async def sweep(self) -> None:
        """Ask about every transaction whose turn has come."""
        held = list(self._held())
        if not held:
            return
        async with self._pool.acquire() as connection:
            rows = await SQL.sessions_to_ask.fetch(
                connection,
                charge_points=held,
                delays=[timedelta(seconds=each) for each in self._settings.transaction_status_delays_s],
                silence=timedelta(seconds=self._settings.available_patience_s),
                now=utc_now(),
            )
        async with asyncio.TaskGroup() as tasks:
            for row in rows:
                tasks.create_task(self._inquire(row["id"], row["charge_point"], row["transaction"]))

    async def _inquire(self, session: int, charge_point: str, transaction: str) -> None:
        outcome = await self._ask(charge_point, AskTransactionStatus(transaction=transaction))
        if outcome.status == "offline":
            return  # it was not asked
        async with self._pool.acquire() as connection, connection.transaction():
            await SQL.insert_transaction_status.execute(
                connection,
                session=session,
                ongoing=outcome.data.get("ongoing"),
                messages_in_queue=outcome.data.get("messages_in_queue"),
            )
            await SQL.mark_due.execute(connection, sessions=[session])
        log.info("transaction_asked", charge_point=charge_point, session=session, status=outcome.status)
