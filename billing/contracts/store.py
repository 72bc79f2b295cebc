"""Contracts in the database: rows to values and back. Decides nothing."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, TypeAlias

import asyncpg

from billing.contracts.contract import Deadline, DeadlineKind, Renewal, Terms
from billing.contracts.contract_charge import ContractCharge
from billing.contracts.days import Days, Length
from billing.contracts.discount import Discount, Given, Target
from billing.contracts.plan_json import plan_from_json
from billing.contracts.recurrence import Period, period_of
from billing.contracts.reminding import Reminder
from billing.contracts.standing import (
    Allowance,
    Bearer,
    Cell,
    FallenDue,
    OpenItem,
    OpenMilestone,
    Standing,
    Subscription,
)
from billing.invoices.document import LineKind
from billing.sql import Connection, Queries

SQL: Final = Queries.load("billing.contracts")

Row: TypeAlias = "Mapping[str, Any] | asyncpg.Record"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A contract as it was read, with what is kept of it beside: when it was to be looked at, what was held, reminders."""

    standing: Standing
    next_on: date | None
    holds: Mapping[str, str]
    reminders: Mapping[int, Reminder]
    """Unsent ones and sent ones of deadlines that lie ahead, by id."""
    unsent: frozenset[int]
    row: Row


async def load(connection: Connection, ids: Sequence[str], *, since: date) -> list[Loaded]:
    """Contracts with all that is in them, by id. `since`: of what is past, only what may still matter then.

    Each contract's own row is read first: who writes later with its revision knows that nothing else has changed either.
    """
    contracts = await SQL.contracts_of.fetch(connection, ids=list(ids))
    wanted = {"ids": [row["id"] for row in contracts]}
    cells = _by("subscription", await SQL.cells_of.fetch(connection, **wanted))
    subscriptions = _by("contract", await SQL.subscriptions_of.fetch(connection, **wanted))
    items = _by("contract", await SQL.open_items_of.fetch(connection, **wanted))
    milestones = _by("contract", await SQL.open_milestones_of.fetch(connection, **wanted))
    discounts = _by("contract", await SQL.discounts_of.fetch(connection, **wanted))
    given = _by("contract", await SQL.given_of.fetch(connection, **wanted))
    charged_until = _by("contract", await SQL.charged_before_discounts_of.fetch(connection, **wanted))
    bearers = _by("contract", await SQL.bearers_of.fetch(connection, **wanted))
    allowances = _by("contract", await SQL.allowances_of.fetch(connection, **wanted))
    fallen_due = _by("contract", await SQL.fallen_due_of.fetch(connection, **wanted, since=since))
    holds = _by("contract", await SQL.holds_of.fetch(connection, **wanted))
    reminders = _by("contract", await SQL.reminders_of.fetch(connection, **wanted, since=since))
    return [
        Loaded(
            standing=Standing(
                **_own(row),
                subscriptions=tuple(_subscription(each, cells[each["id"]]) for each in subscriptions[row["id"]]),
                items=tuple(_item(each) for each in items[row["id"]]),
                milestones=tuple(_milestone(each) for each in milestones[row["id"]]),
                discounts=tuple(_discount(each) for each in discounts[row["id"]]),
                given={each["discount"]: each["minor"] for each in given[row["id"]]},
                charged_until={
                    line: {each["discount"]: each["until_day"] for each in rows}
                    for line, rows in _by("line", charged_until[row["id"]]).items()
                },
                bearers=tuple(_bearer(each) for each in bearers[row["id"]]),
                allowances=tuple(_allowance(each) for each in allowances[row["id"]]),
                fallen_due=tuple(
                    FallenDue(source=each["source"], due_on=each["due_on"]) for each in fallen_due[row["id"]]
                ),
            ),
            next_on=row["next_on"],
            holds={each["source"]: each["why"] for each in holds[row["id"]]},
            reminders={each["id"]: _reminder(each) for each in reminders[row["id"]]},
            unsent=frozenset(each["id"] for each in reminders[row["id"]] if each["sent_at"] is None),
            row=row,
        )
        for row in contracts
    ]


def _by(name: str, rows: Iterable[Any]) -> Mapping[Any, list[Any]]:
    found: dict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        found[row[name]].append(row)
    return found


def _own(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "account": row["account"],
        "title": row["title"],
        "currency": row["currency"],
        "country": row["country"],
        "time_zone": row["time_zone"],
        "payment_days": row["payment_days"],
        "terms": terms_of(row),
        "until": row["until_day"],
        "revision": row["revision"],
        "remind_before": reminders_before(row["reminders_json"]),
    }


def terms_of(row: Row) -> Terms:
    return Terms(
        starts_on=row["starts_on"],
        renewal=Renewal(row["renewal"]),
        term=None if row["term"] is None else Length.parse(row["term"]),
        renewal_length=None if row["renewal_length"] is None else Length.parse(row["renewal_length"]),
        notice=Length.parse(row["notice"]),
        to_month_end=row["to_month_end"],
    )


def reminders_before(text: str) -> dict[DeadlineKind, tuple[int, ...]]:
    return {DeadlineKind(kind): tuple(days) for kind, days in json.loads(text).items()}


def _subscription(row: Row, cells: Sequence[Row]) -> Subscription:
    plan = plan_from_json(json.loads(row["body"]))
    return Subscription(
        id=row["id"],
        line=row["line"],
        plan_id=row["plan"],
        version=row["version"],
        plan=plan,
        quantity=row["quantity"],
        days=Days(row["from_day"], row["until_day"]),
        anchor=row["anchor"],
        begins=row["begins"],
        priced_from=row["priced_from"],
        cells=tuple(_cell(each, period_of(plan.interval, row["anchor"], each["period_from"])) for each in cells),
    )


def _cell(row: Row, period: Period) -> Cell:
    assert (period.first, period.until) == (row["period_from"], row["period_until"]), f"{row['source']}: another period"
    return Cell(
        source=row["source"],
        days=Days(row["from_day"], row["until_day"]),
        period=period,
        price=row["price"],
        gross_minor=row["gross_minor"],
        discounts=given_from(row["given"]),
        name=row["name"],
        currency=row["currency"],
        price_with_tax=row["price_with_tax"],
        supply=row["supply"],
        country=row["country"],
        tax_point=row["tax_point"],
    )


def _item(row: Row) -> OpenItem:
    names = (
        "id", "name", "quantity", "unit", "unit_price", "price_with_tax", "supply", "due_on", "description", "country",
    )  # fmt: skip
    return OpenItem(**{name: row[name] for name in names})


def _milestone(row: Row) -> OpenMilestone:
    names = (
        "id", "name", "percent", "total_minor", "amount_minor", "price_with_tax", "supply", "due_on", "country",
    )  # fmt: skip
    return OpenMilestone(split=row["split_name"], **{name: row[name] for name in names})


def _discount(row: Row) -> Discount:
    return Discount(
        id=row["id"],
        label=row["label"],
        target=Target(row["target"]),
        days=Days(row["from_day"], row["until_day"]),
        percent=row["percent"],
        amount_minor=row["amount_minor"],
        periods=row["periods"],
        only=row["only_for"],
    )


def _bearer(row: Row) -> Bearer:
    return Bearer(
        id=row["id"], days=Days(row["from_day"], row["until_day"]), token=row["token"], token_group=row["token_group"]
    )


def _allowance(row: Row) -> Allowance:
    return Allowance(
        rule=row["rule"],
        subscription=row["subscription"],
        bearer=row["bearer"],
        days=Days(row["from_day"], row["until_day"]),
    )


def _reminder(row: Row) -> Reminder:
    return Reminder(Deadline(row["deadline_on"], DeadlineKind(row["kind"]), row["about"]), row["remind_on"])


def given_from(text: str) -> tuple[Given, ...]:
    return tuple(Given(each["discount"], each["label"], each["minor"]) for each in json.loads(text))


def given_to_json(given: Iterable[Given]) -> list[dict[str, Any]]:
    return [{"discount": each.discount, "label": each.label, "minor": each.minor} for each in given]


def charge_to_json(charge: ContractCharge) -> dict[str, Any]:
    """A charge as the statement that stores it reads it."""
    days = charge.days
    return {
        "source": charge.source, "contract": charge.contract, "kind": charge.kind.value,
        "subscription": charge.subscription, "item": charge.item, "milestone": charge.milestone,
        "corrects": charge.corrects, "name": charge.name, "description": charge.description,
        "quantity": f"{charge.quantity:f}", "unit": charge.unit, "unit_price": f"{charge.unit_price:f}",
        "currency": charge.currency, "price_with_tax": charge.price_with_tax,
        "discounts": given_to_json(charge.discounts), "amount_minor": charge.amount_minor, "supply": charge.supply,
        "country": charge.country, "tax_point": charge.tax_point.isoformat(), "due_on": charge.due_on.isoformat(),
        "from_day": None if days is None else days.first.isoformat(),
        "until_day": None if days is None or days.until is None else days.until.isoformat(),
    }  # fmt: skip


def charge_of(row: Row) -> ContractCharge:
    """A stored charge; its discounts are text in `given`."""
    names = (
        "source", "contract", "name", "quantity", "unit", "unit_price", "currency", "price_with_tax", "supply", "country",
        "tax_point", "due_on", "description", "corrects", "subscription", "item", "milestone",
    )  # fmt: skip
    return ContractCharge(
        kind=LineKind(row["kind"]),
        days=None if row["from_day"] is None else Days(row["from_day"], row["until_day"]),
        discounts=given_from(row["given"]),
        **{name: row[name] for name in names},
    )
