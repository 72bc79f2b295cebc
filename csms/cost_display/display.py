"""The cost on the charge point's display: each new bill's total, where the charge point can show it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import structlog
from asyncpg import Record

from billing import BillKind, Dimension, Money, receipt_of
from csms.cost_display.statements import SQL
from csms.database.pool import is_unavailable
from csms.protocol.v16.cost_messages import ANNOUNCED_BY, PricesShown, final_cost, running_cost
from csms.protocol.vocabulary import Command, Outcome, Protocol, ShowCost

log = structlog.get_logger()

PENDING_MAX = 10_000
AT_ONCE_MAX = 500

Send = Callable[[str, Command], Awaitable[Outcome]]


class Display:
    """Sends the newest total of a session; an older one that still waits is not worth sending.

    Totals of one session leave one after the other, so that the last one that a driver sees is the newest.
    """

    def __init__(self, pool: asyncpg.Pool[Any], send: Send) -> None:
        self._pool = pool
        self._send = send
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
            return  # the next bill of the session tries again
        self._waiting[session] = seq
        if session not in self._being_shown:
            self._turns.put_nowait(session)

    async def run(self) -> None:
        """Ask each charge point in its own time: one that does not answer keeps nobody else from its figure."""
        async with asyncio.TaskGroup() as tasks:
            slots = asyncio.Semaphore(AT_ONCE_MAX)
            while True:
                session = await self._turns.get()
                await slots.acquire()
                tasks.create_task(self._take_turn(session, slots))

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
            command = await _command(connection, session, row)
        if command is None:
            return
        outcome = await self._send(row["charge_point"], command)
        log.debug("cost_shown", session=session, seq=row["seq"], status=outcome.status)


async def _command(connection: Any, session: int, row: Record) -> Command | None:
    """What shows the newest bill of this session on this charge point; None: nothing does."""
    total = Money(row["total_incl_minor"], row["currency"]).decimal
    if row["protocol"] != Protocol.V16:
        return ShowCost(transaction=row["transaction"], total_cost=total)
    if not row["shows_costs"] or not row["transaction"].isdecimal():
        return None
    receipt = await receipt_of(connection, session, row["seq"])
    transaction = int(row["transaction"])
    if row["kind"] != BillKind.INTERIM:
        return final_cost(transaction, cost=total, text=receipt.text)
    prices = PricesShown(
        kwh=receipt.prices.get(Dimension.ENERGY),
        hour=receipt.prices.get(Dimension.TIME),
        flat=receipt.prices.get(Dimension.FLAT),
        idle_hour=receipt.prices.get(Dimension.PARKING_TIME),
    )
    return running_cost(
        transaction, at=row["as_of"], meter_wh=row["register_wh"], cost=total, is_charging=not row["is_idle"],
        prices=prices,
    )  # fmt: skip
