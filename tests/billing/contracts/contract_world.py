"""A seller, customers, a plan or two: what tests of contracts start from. Rows of other rooms are written by SQL."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import asyncpg

from billing.contracts import accruing, handover, plans, service
from billing.contracts.accruing import Accrual
from billing.contracts.changes import Act, Change
from billing.contracts.plan import Plan
from billing.contracts.pricing import Flat
from billing.contracts.project import Project, WantedSubscription
from billing.contracts.recurrence import Interval
from billing.contracts.store import Loaded
from billing.invoices.charge import PricedCharge

NOW = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
START = date(2026, 1, 1)
D = date.fromisoformat


@dataclass
class ContractWorld:
    """Acts as an operator does; every value is valid unless the test says otherwise. `changes`: what was told."""

    pool: asyncpg.Pool
    now: datetime = NOW
    changes: list[Change] = field(default_factory=list)

    async def record(self, connection: Any, change: Change) -> None:
        assert connection.is_in_transaction(), "a change is kept in the transaction that makes it"
        self.changes.append(change)

    def act(self, reason: str = "as agreed") -> Act:
        return Act(actor="ada", reason=reason, now=self.now, record=self.record)

    async def account(self, account: str = "A-1", *, time_zone: str = "Europe/Berlin", **more: Any) -> str:
        row = {"seller": "acme", "state": "open", "payment_days": 14, "country": "DE", **more}
        details = {"party": {"name": "Example Logistics", "address": {"country": row["country"]}}}
        await self.pool.execute(
            "INSERT INTO seller (id, details) VALUES ($1, '{}') ON CONFLICT DO NOTHING", row["seller"]
        )
        await self.pool.execute(
            "INSERT INTO account (id, seller, kind, state, language, time_zone, rhythm, payment_days, details)"
            " VALUES ($1, $2, 'business', $3, 'de', $4, 'month', $5, $6::text::jsonb)",
            account, row["seller"], row["state"], time_zone, row["payment_days"], json.dumps(details),
        )  # fmt: skip
        return account

    async def plan(self, id_: str = "basic", price: str = "29.90", **more: Any) -> Plan:
        made = Plan(
            **{
                "name": id_.capitalize(), "currency": "EUR", "interval": Interval.MONTH,
                "pricing": Flat(price=Decimal(price)), **more,
            }
        )  # fmt: skip
        async with self.pool.acquire() as connection:
            await plans.create_plan(connection, id_, made, self.act())
        return made

    async def contract(
        self, id_: str = "C-1", *, account: str = "A-1", start: date = START, plan: str | None = "basic", **more: Any
    ) -> Loaded:
        subscriptions = () if plan is None else (WantedSubscription(plan=plan),)
        project = Project(**{"currency": "EUR", "title": "Depot", "subscriptions": subscriptions, **more})
        async with self.pool.acquire() as connection:
            return await service.create(connection, id_, project, self.act(), account=account, start=start)

    async def accrue(self, until: str | None = None, *contracts: str, **more: Any) -> Accrual:
        async with self.pool.acquire() as connection:
            return await accruing.accrue(
                connection, now=self.now, until=None if until is None else D(until), contracts=contracts or None, **more
            )

    async def due(self, until: str = "2099-12-31", **more: Any) -> list[PricedCharge]:
        async with self.pool.acquire() as connection:
            return await handover.due_charges(connection, until=D(until), **more)

    async def invoice(self, *sources: str, document: str = "INV-1") -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            await handover.mark_invoiced(connection, sources, document=document, actor="run", now=self.now)

    async def only(self, subscription_of: str = "C-1") -> int:
        """The subscription of a contract that holds last."""
        found: int = await self.pool.fetchval(
            "SELECT id FROM subscription WHERE contract = $1 ORDER BY from_day DESC, id DESC LIMIT 1", subscription_of
        )
        return found

    async def charged(self, contract: str = "C-1") -> list[tuple[str, str]]:
        """Due day and amount of everything that fell due, in order."""
        rows = await self.pool.fetch(
            "SELECT due_on, amount_minor FROM contract_charge WHERE contract = $1 ORDER BY due_on, source", contract
        )
        return [(row["due_on"].isoformat(), f"{Decimal(row['amount_minor']).scaleb(-2)}") for row in rows]

    async def stored(self) -> dict[str, list[Any]]:
        """Everything of contracts, to compare."""
        tables = (
            "contract",
            "subscription",
            "contract_charge",
            "billing_period",
            "contract_hold",
            "included_kwh",
            "reminder",
        )
        return {table: await self.pool.fetch(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables}


def amounts(charges: Iterable[PricedCharge]) -> list[tuple[str, str]]:
    return [(each.source, each.amount.text) for each in charges]
