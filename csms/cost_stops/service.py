"""Stops sessions that have come to what they may cost (RULES.md 17), again and again until they have ended.

Billing decides and leaves a row; each node asks the charge points whose sockets it holds. A row is taken with a lease, so
that one stop of a session is under way at a time, and none is lost with the node that had taken it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Any

import asyncpg
import structlog
from asyncpg import Record

from billing import Queries
from csms.cost_stops import metrics
from csms.database.pool import is_unavailable
from csms.protocol.vocabulary import Outcome, StopCharging
from csms.settings import Settings

SQL = Queries.load(__package__)
LEASE_MORE = timedelta(seconds=5)
"""So much longer than a charge point may take to answer nobody else asks it."""
UNSENT_PAUSE = timedelta(seconds=1)
"""After a socket that could send nothing: the charge point was not asked, and will be when it is back."""

log = structlog.get_logger()

Ask = Callable[[str, StopCharging], Awaitable[Outcome]]


class CostStops:
    """`held` names the charge points whose sockets are here, `ask` brings one a command."""

    def __init__(
        self, pool: asyncpg.Pool[Any], settings: Settings, *, held: Callable[[], Iterable[str]], ask: Ask
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._held = held
        self._ask = ask
        self._awake = asyncio.Event()

    def wake(self) -> None:
        """A stop has been decided: do not wait for the next sweep."""
        self._awake.set()

    async def run(self) -> None:
        """Ask, forever. A charge point that takes long to answer keeps no other from being asked."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._awake.clear()
                try:
                    for row in await self._take():
                        tasks.create_task(self._stop(row))
                except Exception as error:
                    if not is_unavailable(error):
                        log.exception("cost_stops_failed")
                try:
                    async with asyncio.timeout(self._settings.sweep_interval_s):
                        await self._awake.wait()
                except TimeoutError:
                    pass

    async def _take(self) -> list[Record]:
        held = list(self._held())
        lease = timedelta(seconds=self._settings.call_timeout_s) + LEASE_MORE
        async with self._pool.acquire() as connection:
            counts = await SQL.count_due.fetchrow(connection)
            assert counts is not None, "a count is a row"
            metrics.waiting.set(counts["waiting"])
            metrics.not_obeyed.set(counts["disobeyed"])
            if not held or not counts["waiting"]:
                return []
            return await SQL.take_due.fetch(connection, charge_points=held, lease=lease)

    async def _stop(self, row: Record) -> None:
        """Ask once; whatever goes wrong, the row is there until the session has ended."""
        try:
            outcome = await self._outcome(row)
            await self._record(row, outcome)
        except Exception as error:
            if not is_unavailable(error):
                log.exception("cost_stop_failed", session=row["session"])

    async def _outcome(self, row: Record) -> Outcome:
        try:
            return await self._ask(row["charge_point"], StopCharging(transaction=row["transaction"]))
        except ValueError as wrong:  # an id that this version of OCPP cannot carry
            return Outcome(accepted=False, status="invalid", detail=str(wrong))

    async def _record(self, row: Record, outcome: Outcome) -> None:
        tries = row["tries"]
        pause = UNSENT_PAUSE
        was_asked = not outcome.unsent and outcome.status != "offline"
        if was_asked:
            delays = self._settings.cost_stop_delays_s
            pause = timedelta(seconds=delays[min(tries, len(delays) - 1)])
            tries += 1
            self._tell(row, tries, outcome, pause)
        async with self._pool.acquire() as connection, connection.transaction():
            if was_asked:
                await SQL.insert_try.execute(
                    connection, session=row["session"], seq=row["seq"], n=tries, accepted=outcome.accepted,
                    status=outcome.status, detail=outcome.detail,
                )  # fmt: skip
            await SQL.put_off.execute(connection, session=row["session"], seq=row["seq"], tries=tries, pause=pause)

    def _tell(self, row: Record, tries: int, outcome: Outcome, pause: timedelta) -> None:
        word = "accepted" if outcome.accepted else "no_answer" if outcome.status == "timeout" else "refused"
        metrics.asked.labels(outcome=word).inc()
        told = {
            "session": row["session"],
            "charge_point": row["charge_point"],
            "status": outcome.status,
            "asked": tries,
        }
        if outcome.accepted and tries == 1:
            log.info("cost_limit_stop_accepted", **told)
        else:
            log.warning("limit_not_obeyed", **told, again_in_s=pause.total_seconds())
