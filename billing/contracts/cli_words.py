"""How commands of contracts read what somebody types, and how they reach the database and the log of changes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeVar

import asyncpg
import click

from billing.cli_parameters import Connect, transaction
from billing.contracts.accruing import accrue
from billing.contracts.changes import Act, Record
from billing.contracts.contract import DeadlineKind
from billing.contracts.days import Length
from billing.contracts.pricing import Step
from billing.contracts.project import Offset
from billing.contracts.told import charge_row, hold_row
from billing.sql import Connection

FILE_BYTES_MAX: Final = 1_000_000
ALWAYS: Final = "for good unless said"
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where commands come from: the connection they get, who gives them, and who keeps what they change."""

    connect: Connect
    actor: Callable[[], str]
    record: Record

    def act(self, reason: str = "") -> Act:
        """Somebody's act now; only looking needs no reason."""
        return Act(actor=self.actor(), reason=reason, now=datetime.now(UTC), record=self.record)

    @asynccontextmanager
    async def acting(
        self, context: click.Context, reason: str, *, dry_run: bool
    ) -> AsyncIterator[tuple[asyncpg.Connection[Any], Act]]:
        """One transaction; with `dry_run` all of it is tried for real and rolled back."""
        async with self.connect(context) as connection, transaction(connection, dry_run=dry_run):
            yield connection, self.act(reason)


async def arisen(connection: Connection, contract: str, act: Act) -> dict[str, object]:
    """What has fallen due of a contract by a change, and what could not be charged."""
    done = await accrue(connection, now=act.now, contracts=[contract])
    orders: dict[str, object] = {"orders": [charge_row(each) for each in done.charges]}
    return orders | ({"holds": [hold_row(name, hold) for name, hold in done.holds]} if done.holds else {})


def marked(dry_run: bool) -> dict[str, object]:
    return {"dry_run": True} if dry_run else {}


class _Text(click.ParamType[T]):
    """A value that has a form as text."""

    def __init__(self, name: str, read: Callable[[str], T], wrong: str) -> None:
        self.name = name
        self._read = read
        self._wrong = wrong

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> T:
        try:
            return self._read(str(value))
        except (ValueError, InvalidOperation):
            self.fail(f"{value!r} is no {self._wrong}", param, ctx)


def _decimal(text: str) -> Decimal:
    value = Decimal(text)
    if not value.is_finite():
        raise ValueError(text)
    return value


def _step(text: str) -> Step:
    when, sign, price = text.partition("=")
    if not sign:
        raise ValueError(text)
    if when.endswith("m"):
        return Step(price=_decimal(price), after_months=int(when[:-1]))
    return Step(price=_decimal(price), on=date.fromisoformat(when))


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise ValueError(text)
    return name, value


def _plan(text: str) -> tuple[str, Decimal]:
    plan, sign, quantity = text.partition("=")
    return plan, _decimal(quantity) if sign else Decimal(1)


def _versioned(text: str) -> tuple[str, int | None]:
    name, sign, version = text.partition(":")
    return name, int(version) if sign else None


def _reminder(text: str) -> tuple[DeadlineKind, tuple[int, ...]]:
    kind, days = _pair(text)
    return DeadlineKind(kind), tuple(int(each) for each in days.split(",") if each)


DECIMAL: Final = _Text("decimal", _decimal, "number such as 29.90")
LENGTH: Final = _Text("length", Length.parse, "length; write a number and d, w, m or y, such as 24m")
OFFSET: Final = _Text("distance", Offset.parse, "distance from the begin; write months and days such as 1m15d")
STEP: Final = _Text("step", _step, "step; write 2027-01-01=34.90, or 12m=34.90 for so many months after the begin")
PAIR: Final = _Text("name=value", _pair, "pair such as cost_centre=4711")
PLAN: Final = _Text("plan", _plan, "plan; write its id, or id=3 for three of it")
VERSIONED: Final = _Text("name", _versioned, "name; write it, or name:2 for its second version")
REMINDER: Final = _Text("reminder", _reminder, "reminder; write a kind and days before it, such as notice=30,7")
NUMBER: Final = click.IntRange(1, 2**62)

REASON: Final = click.option("--reason", required=True, metavar="TEXT", help="Why; it is kept with the change.")
