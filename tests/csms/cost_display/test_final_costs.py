"""The cost in the answer to an end: waited for within a budget, and never cut off half-way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from csms.cost_display.final_costs import FinalCosts, Transaction
from csms.protocol.vocabulary import ChargingEvent, EventKind

ENDED = ChargingEvent(
    kind=EventKind.ENDED, at=datetime(2026, 3, 1, tzinfo=UTC), key=b"end", transaction="A", seq_no=3
)  # fmt: skip


@asynccontextmanager
async def running(
    pool: Any,
    work_out: Callable[[Collection[Transaction]], Awaitable[Mapping[Transaction, Decimal]]],
    *,
    budget_s: float,
) -> AsyncIterator[FinalCosts]:
    costs = FinalCosts(pool, work_out, budget_s=budget_s)
    task = asyncio.create_task(costs.run())
    yield costs
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_cost_known_in_time_is_told(pool: Any) -> None:
    async def work_out(transactions: Collection[Transaction]) -> Mapping[Transaction, Decimal]:
        return dict.fromkeys(transactions, Decimal("4.20"))

    async with running(pool, work_out, budget_s=30) as costs:
        assert await costs.of("CP-1", ENDED) == Decimal("4.20")


async def test_billing_that_takes_longer_than_the_budget_is_finished_all_the_same(pool: Any) -> None:
    may_end, has_ended = asyncio.Event(), asyncio.Event()

    async def work_out(transactions: Collection[Transaction]) -> Mapping[Transaction, Decimal]:
        await may_end.wait()
        has_ended.set()
        return dict.fromkeys(transactions, Decimal("4.20"))

    async with running(pool, work_out, budget_s=0.01) as costs:
        assert await costs.of("CP-1", ENDED) is None
        may_end.set()
        async with asyncio.timeout(20):
            await has_ended.wait()


async def test_billing_that_fails_costs_the_answer_its_figure_alone(pool: Any) -> None:
    async def work_out(transactions: Collection[Transaction]) -> Mapping[Transaction, Decimal]:
        if ("CP-1", "A") in transactions:
            raise ArithmeticError("no figure")
        return dict.fromkeys(transactions, Decimal(1))

    async with running(pool, work_out, budget_s=30) as costs:
        assert await costs.of("CP-1", ENDED) is None
        assert await costs.of("CP-1", ChargingEvent(kind=ENDED.kind, at=ENDED.at, key=b"other", transaction="B")) == 1


async def test_ends_that_come_while_others_are_billed_are_billed_together(pool: Any) -> None:
    may_go_on, rounds = asyncio.Event(), []

    async def work_out(transactions: Collection[Transaction]) -> Mapping[Transaction, Decimal]:
        rounds.append(sorted(transactions))
        await may_go_on.wait()
        return {each: Decimal(each[0]) for each in transactions if each[0] != "3"}

    async with running(pool, work_out, budget_s=30) as costs, asyncio.TaskGroup() as tasks:
        asked = []
        for number in range(8):
            asked.append(tasks.create_task(costs.of(str(number), ENDED)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        may_go_on.set()

    assert [each.result() for each in asked] == [0, 1, 2, None, 4, 5, 6, 7]
    assert len(rounds) < 8
    assert sorted(each for one in rounds for each in one) == [(str(number), "A") for number in range(8)]
