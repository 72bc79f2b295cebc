"""Contracts for pure tests: valid unless the test says otherwise, and what is decided of them is kept as storage would."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

from billing.contracts.accrual import Accrued, accrue
from billing.contracts.contract import Terms
from billing.contracts.contract_charge import ContractCharge
from billing.contracts.days import Days
from billing.contracts.plan import Plan
from billing.contracts.pricing import Flat, IndexOn
from billing.contracts.recurrence import Interval
from billing.contracts.standing import Cell, Standing, Subscription

START = date(2026, 1, 1)
FAR = date(2031, 1, 1)


def no_index(_series: str, _day: date) -> Decimal | None:
    return None


def plan(price: str = "29.90", interval: Interval = Interval.MONTH, **more: Any) -> Plan:
    return Plan(
        **{"name": "Basic", "currency": "EUR", "interval": interval, "pricing": Flat(price=Decimal(price)), **more}
    )


def subscription(id_: int = 1, of: Plan | None = None, **more: Any) -> Subscription:
    chosen = of or plan()
    days = more.pop("days", Days(START, None))
    return Subscription(
        **{
            "id": id_, "line": id_, "plan_id": "basic", "version": 1, "plan": chosen, "quantity": Decimal(1),
            "days": days, "anchor": chosen.anchor(days.first), "begins": days.first, "priced_from": days.first, **more,
        }
    )  # fmt: skip


def contract(*subscriptions: Subscription, **more: Any) -> Standing:
    return Standing(
        **{
            "id": "C-1", "account": "A-1", "currency": "EUR", "country": "DE", "time_zone": "Europe/Berlin",
            "payment_days": 14, "terms": Terms(starts_on=START), "until": None, "revision": 1,
            "subscriptions": subscriptions, **more,
        }
    )  # fmt: skip


@dataclass
class Books:
    """What is decided of a contract, day by day, as it would be stored."""

    standing: Standing
    charges: list[ContractCharge] = field(default_factory=list)

    def accrue(self, until: date, index_on: IndexOn = no_index) -> Accrued:
        done = accrue(self.standing, until, index_on)
        taken = {each.source: each.until for each in done.shrunk}
        self.charges += [each.charge for each in done.cells] + [each.charge for each in done.shrunk]
        subscriptions = []
        for each in self.standing.subscriptions:
            cells = [_shorter(cell, taken.get(cell.source)) for cell in each.cells]
            cells += [new.cell for new in done.cells if new.subscription == each.id]
            subscriptions.append(replace(each, cells=tuple(cells)))
        self.standing = replace(self.standing, subscriptions=tuple(subscriptions))
        return done

    def end(self, until: date | None) -> None:
        """The contract ends then, or goes on after all."""
        self.standing = replace(self.standing, until=until)

    def change(self, on: date, **more: Any) -> None:
        """Its last subscription ends on a day, and another one of its line begins."""
        *before, last = self.standing.subscriptions
        new = replace(last, id=last.id + 1, days=Days(on, last.days.until), cells=(), **more)
        self.standing = replace(
            self.standing, subscriptions=(*before, replace(last, days=Days(last.days.first, on)), new)
        )

    @property
    def total_minor(self) -> int:
        return sum(charge.amount_minor for charge in self.charges)


def _shorter(cell: Cell, until: date | None) -> Cell:
    return cell if until is None else replace(cell, days=Days(cell.days.first, until))
