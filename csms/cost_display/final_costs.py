"""The cost of a session that has just ended, if it can be billed while its charge point waits for the answer.

Whoever asks waits for the budget and no longer. What was begun is finished nevertheless: billing that is cut during its
commit may have made a bill of which nobody, the display included, ever hears.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import asyncpg
import structlog

from csms.cost_display.statements import SQL
from csms.database.pool import is_unavailable
from csms.protocol.vocabulary import ChargingEvent

log = structlog.get_logger()

WORKERS = 2
PENDING_MAX = 1000
AT_ONCE_MAX = 50
"""Sessions billed by one transaction, so that those that end together are worked out together."""

Transaction = tuple[str, str]
"""A charge point, and its id of a transaction."""


@dataclass(frozen=True, slots=True)
class _Question:
    transaction: Transaction
    cost: asyncio.Future[Decimal | None]


class FinalCosts:
    """`run()` works out what `of()` asks for; `work_out` bills the sessions of transactions and tells the final totals."""

    def __init__(
        self,
        pool: asyncpg.Pool[Any],
        work_out: Callable[[Collection[Transaction]], Awaitable[Mapping[Transaction, Decimal]]],
        *,
        budget_s: float,
    ) -> None:
        self._pool = pool
        self._work_out = work_out
        self._budget_s = budget_s
        self._questions: asyncio.Queue[_Question] = asyncio.Queue(maxsize=PENDING_MAX)

    async def of(self, charge_point: str, event: ChargingEvent) -> Decimal | None:
        """The final total, stored for repeats of the event; None where it is not known within the budget."""
        if event.transaction is None or self._budget_s == 0 or self._questions.full():
            return None
        question = _Question((charge_point, event.transaction), asyncio.get_running_loop().create_future())
        self._questions.put_nowait(question)
        try:
            async with asyncio.timeout(self._budget_s):
                total = await question.cost
                if total is not None:
                    await self._store(charge_point, event, total)
        except Exception as error:  # noqa: BLE001 - the event is committed: its answer does not fail for want of a figure
            _log_failure([(charge_point, event.transaction)], error)
            return None
        return total

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(WORKERS):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        while True:
            questions = await self._next_questions()
            totals: Mapping[Transaction, Decimal] = {}
            try:
                totals = await self._work_out({each.transaction for each in questions})
            except Exception as error:  # noqa: BLE001 - whatever it was, billing tries again in its own time
                _log_failure([each.transaction for each in questions], error)
            for each in questions:
                if not each.cost.done():
                    each.cost.set_result(totals.get(each.transaction))

    async def _next_questions(self) -> list[_Question]:
        """All for whose answer somebody still waits; billing will come to the others in its own time."""
        questions: list[_Question] = []
        while not questions:
            asked = [await self._questions.get()]
            while len(asked) < AT_ONCE_MAX and not self._questions.empty():
                asked.append(self._questions.get_nowait())
            questions = [each for each in asked if not each.cost.done()]
        return questions

    async def _store(self, charge_point: str, event: ChargingEvent, total: Decimal) -> None:
        async with self._pool.acquire() as connection:
            await SQL.store_answered_cost.execute(
                connection, charge_point=charge_point, key=event.key, total_cost=total
            )


def _log_failure(transactions: Collection[Transaction], error: Exception) -> None:
    """TimeoutError is no failure: it is what the budget is for."""
    if not is_unavailable(error):
        log.error("final_cost_failed", charge_points=[each for each, _ in transactions], exc_info=error)
