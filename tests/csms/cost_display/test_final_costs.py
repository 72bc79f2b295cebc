"""The cost in the answer to an end: waited for within a budget, and never cut off half-way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from csms.cost_display.final_costs import FinalCosts
from csms.protocol.vocabulary import ChargingEvent, EventKind

ENDED = ChargingEvent(
    kind=EventKind.ENDED, at=datetime(2026, 3, 1, tzinfo=UTC), key=b"end", transaction="A", seq_no=3
)  # fmt: skip


@asynccontextmanager
async def running(
    pool: Any, work_out: Callable[[str, str], Awaitable[Decimal | None]], *, budget_s: float
) -> AsyncIterator[FinalCosts]:
    costs = FinalCosts(pool, work_out, budget_s=budget_s)
    task = asyncio.create_task(costs.run())
    yield costs
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_cost_known_in_time_is_told(pool: Any) -> None:
    async def work_out(_charge_point: str, _transaction: str) -> Decimal:
        return Decimal("4.20")

    async with running(pool, work_out, budget_s=30) as costs:
        assert await costs.of("CP-1", ENDED) == Decimal("4.20")


async def test_billing_that_takes_longer_than_the_budget_is_finished_all_the_same(pool: Any) -> None:
    may_end, has_ended = asyncio.Event(), asyncio.Event()

    async def work_out(_charge_point: str, _transaction: str) -> Decimal:
        await may_end.wait()
        has_ended.set()
        return Decimal("4.20")

    async with running(pool, work_out, budget_s=0.01) as costs:
        assert await costs.of("CP-1", ENDED) is None
        may_end.set()
        async with asyncio.timeout(20):
            await has_ended.wait()


async def test_billing_that_fails_costs_the_answer_its_figure_alone(pool: Any) -> None:
    async def work_out(_charge_point: str, transaction: str) -> Decimal:
        if transaction == "A":
            raise ArithmeticError("no figure")
        return Decimal(1)

    async with running(pool, work_out, budget_s=30) as costs:
        assert await costs.of("CP-1", ENDED) is None
        assert await costs.of("CP-1", ChargingEvent(kind=ENDED.kind, at=ENDED.at, key=b"other", transaction="B")) == 1
