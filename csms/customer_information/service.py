"""What charging stations know of customers, on its way to the operator who asked.

Kept for good: who asked which station about which token when, what it answered, and how many parts were handed out.
What the station tells is personal data: it is held from its arrival until it is handed out, an hour at most.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import structlog

from billing import Queries
from csms.database.pool import is_unavailable
from csms.protocol.blocks.customer_facts import CustomerInformationReported
from csms.protocol.vocabulary import Acknowledged, Decision, Outcome

SQL = Queries.load(__package__)
POLL_S = 0.2
LONGEST = timedelta(hours=1)
"""So long after its arrival at most is it held; no answer is waited for longer (--timeout)."""
SWEEP_S = 300.0
UNKNOWN_ANSWERS = frozenset({"timeout", "invalid_answer"})
"""Outcomes after which nobody knows what the charging station does."""

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Told:
    """The parts of a report by seqNo, as far as they have come."""

    parts: dict[int, str] = field(default_factory=dict)
    last: int | None = None

    @property
    def complete(self) -> bool:
        return self.last is not None and all(seq_no in self.parts for seq_no in range(self.last))

    @property
    def text(self) -> str:
        return "".join(data for _, data in sorted(self.parts.items()))


async def record(connection: Any, charge_point: str, fact: CustomerInformationReported, *, at: datetime) -> Decision:
    """Hold a part that somebody waits for before it is acknowledged; what nobody asked for is not kept."""
    await SQL.insert_part.execute(
        connection, charge_point=charge_point, request=fact.request, seq_no=fact.seq_no, more=fact.more,
        data=fact.data, longest=LONGEST, at=at,
    )  # fmt: skip
    return Acknowledged()


async def open_request(connection: Any, charge_point: str, *, token: str, report: bool, clear: bool, actor: str) -> int:
    """What is about to be asked, in the books before it is sent; its number."""
    number: int = await SQL.insert_request.fetchval(
        connection, charge_point=charge_point, token=token, report=report, clear=clear, actor=actor
    )
    return number


async def record_answer(connection: Any, request: int, outcome: Outcome) -> None:
    accepted = None if outcome.status in UNKNOWN_ANSWERS else outcome.accepted
    await SQL.insert_answer.execute(
        connection, request=request, accepted=accepted, status=outcome.status, detail=outcome.detail
    )


async def collect(connection: Any, *, request: int, timeout_s: float) -> Told:
    """The parts that came for a request: all, or those that had come when time was over."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        told = Told()
        for row in await SQL.parts_of.fetch(connection, request=request):
            told.parts[row["seq_no"]] = row["data"]
            if not row["more"]:
                told.last = row["seq_no"]
        if told.complete or asyncio.get_running_loop().time() >= deadline:
            return told
        await asyncio.sleep(POLL_S)


async def hand_over(connection: Any, request: int, told: Told) -> None:
    """It is the asker's now: what is held of it is deleted, and nothing more is taken for it."""
    async with connection.transaction():
        await SQL.insert_handover.execute(connection, request=request, parts=len(told.parts), complete=told.complete)
        await SQL.delete_parts.execute(connection, request=request)


async def forget_regularly(pool: asyncpg.Pool[Any]) -> None:
    """Delete what has been held for too long, forever."""
    while True:
        try:
            async with pool.acquire() as connection:
                await forget_old(connection)
        except Exception as error:
            if not is_unavailable(error):
                log.exception("customer_information_not_swept")
        await asyncio.sleep(SWEEP_S)


async def forget_old(connection: Any, *, longest: timedelta = LONGEST) -> None:
    """Delete what was held for longer than `longest`, and what came after its report had been handed out."""
    await SQL.delete_old_parts.execute(connection, longest=longest)
