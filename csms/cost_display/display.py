"""The cost on the charge point's display: each new bill's total, where the charge point can show it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import structlog
from asyncpg import Record

from billing import BillKind, TariffCache, outlook_of, receipt_of
from csms.cost_display.amount import amount_shown
from csms.cost_display.running_prices import prices_ahead, prices_now
from csms.cost_display.statements import SQL
from csms.database.pool import is_unavailable
from csms.protocol.v16.cost_messages import ANNOUNCED_BY, final_cost, running_cost
from csms.protocol.vocabulary import Command, Outcome, Protocol, ShowCost

log = structlog.get_logger()

PENDING_MAX = 10_000
AT_ONCE_MAX = 500
CLAIM = timedelta(seconds=150)
"""So long a node has for telling a final cost, before another one may."""
TOLD_WITHIN = timedelta(minutes=15)
"""A final cost that could not be told for so long is left to the receipt."""

Send = Callable[[str, Command], Awaitable[Outcome]]


class Display:
    """Sends the newest total of a session; an older one that still waits is not worth sending.

    Totals of one session leave one after the other, so that the last one that a driver sees is the newest. Final ones
    are told once among all nodes; those that this node did not make, or nobody could tell, are found by a sweep.
    """

    def __init__(
        self, pool: asyncpg.Pool[Any], send: Send, *, node: UUID | None = None, sweep_interval_s: float = 5.0
    ) -> None:
        """`node` holds the sockets of the charge points that the sweep is for; None: nothing is swept."""
        self._pool = pool
        self._send = send
        self._node = node
        self._sweep_interval_s = sweep_interval_s
        self._tariffs = TariffCache()
        self._waiting: dict[int, int] = {}
        self._being_shown: set[int] = set()
        self._turns: asyncio.Queue[int] = asyncio.Queue(maxsize=PENDING_MAX)

    def show(self, session: int, seq: int) -> None:
        """Have the total of the session's bill `seq` shown as soon as may be; what is displayed is what is billed.

        Each node shows the bills that it made. Where a newer one was made meanwhile, whoever made it shows that.
        """
        if session in self._waiting:
            self._waiting[session] = max(seq, self._waiting[session])
            return  # it has its turn already
        if self._turns.full():
            return  # the next bill of the session tries again, and the sweep finds a final one
        self._waiting[session] = seq
        if session not in self._being_shown:
            self._turns.put_nowait(session)

    async def run(self) -> None:
        """Ask each charge point in its own time: one that does not answer keeps nobody else from its figure."""
        async with asyncio.TaskGroup() as tasks:
            if self._node is not None:
                tasks.create_task(self._sweep_forever(self._node))
            slots = asyncio.Semaphore(AT_ONCE_MAX)
            while True:
                for session in await self._with_display(await self._next_turns()):
                    await slots.acquire()
                    tasks.create_task(self._take_turn(session, slots))

    async def _next_turns(self) -> list[int]:
        """All that wait, once one does; no more than may be asked at once."""
        turns = [await self._turns.get()]
        while len(turns) < AT_ONCE_MAX and not self._turns.empty():
            turns.append(self._turns.get_nowait())
        return turns

    async def _with_display(self, sessions: list[int]) -> list[int]:
        """Those of the sessions whose charge points can show a cost; the others are done with."""
        try:
            async with self._pool.acquire() as connection:
                rows = await SQL.with_display.fetch(connection, sessions=sessions, announced_by=ANNOUNCED_BY)
        except Exception as error:
            if not is_unavailable(error):
                log.exception("displays_not_found")
            return sessions  # each may try for itself
        found = {row["id"] for row in rows}
        for session in sessions:
            if session not in found:
                self._waiting.pop(session, None)
        return [session for session in sessions if session in found]

    async def _sweep_forever(self, node: UUID) -> None:
        while True:
            await asyncio.sleep(self._sweep_interval_s)
            try:
                await self._sweep(node)
            except Exception as error:
                if not is_unavailable(error):
                    log.exception("costs_not_swept")

    async def _sweep(self, node: UUID) -> None:
        """Final costs that the charge points here have not been told, whoever billed them."""
        async with self._pool.acquire() as connection:
            rows = await SQL.costs_to_tell.fetch(
                connection, node=node, within=TOLD_WITHIN, patience=CLAIM, announced_by=ANNOUNCED_BY
            )
        for row in rows:
            self.show(row["session"], row["seq"])

    async def _take_turn(self, session: int, slots: asyncio.Semaphore) -> None:
        self._being_shown.add(session)
        try:
            while (seq := self._waiting.pop(session, None)) is not None:
                await self._show(session, seq)
        except Exception as error:
            if not is_unavailable(error):
                log.exception("cost_not_shown", session=session)
        finally:
            self._being_shown.discard(session)
            slots.release()

    async def _show(self, session: int, seq: int) -> None:
        async with self._pool.acquire() as connection:
            row = await SQL.display_of.fetchrow(connection, session=session, announced_by=ANNOUNCED_BY)
            if row is None or row["seq"] > seq:
                return
            command = await self._command(connection, session, row)
            if command is None:
                return
            is_final = row["kind"] != BillKind.INTERIM
            if is_final and not await SQL.claim_cost.fetchval(
                connection, session=session, seq=row["seq"], patience=CLAIM
            ):
                return
        outcome = await self._send(row["charge_point"], command)
        if is_final:
            await self._note(session, row["seq"], outcome)
        log.debug("cost_shown", session=session, seq=row["seq"], status=outcome.status)

    async def _note(self, session: int, seq: int, outcome: Outcome) -> None:
        async with self._pool.acquire() as connection:
            if outcome.unsent or outcome.status == "offline":
                await SQL.cost_was_not_sent.execute(connection, session=session, seq=seq)
            else:
                await SQL.cost_was_told.execute(connection, session=session, seq=seq, status=outcome.status)

    async def _command(self, connection: Any, session: int, row: Record) -> Command | None:
        """What shows the newest bill of this session on this charge point; None: nothing does."""
        total = amount_shown(row)
        if row["protocol"] != Protocol.V16:
            return ShowCost(transaction=row["transaction"], total_cost=total)
        if not row["shows_costs"] or not row["transaction"].isdecimal():
            return None
        receipt = await receipt_of(connection, session, row["seq"])
        transaction = int(row["transaction"])
        if row["kind"] != BillKind.INTERIM:
            return final_cost(transaction, cost=total, text=receipt.text)
        outlook = await outlook_of(connection, session, row["seq"], self._tariffs)
        return running_cost(
            transaction, at=row["as_of"], meter_wh=row["register_wh"], cost=total, is_charging=not row["is_idle"],
            prices=prices_now(outlook, receipt.prices), ahead=prices_ahead(outlook, register_wh=row["register_begin_wh"]),
        )  # fmt: skip
