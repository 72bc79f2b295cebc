"""Templates: a project is taken from a contract, or written, and made again for others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from billing.contracts.changes import Act, Noun
from billing.contracts.days import Days
from billing.contracts.keeping import require
from billing.contracts.plan import ID
from billing.contracts.plan_json import project_from_json, project_to_json
from billing.contracts.project import (
    Offset,
    Partner,
    Project,
    WantedDiscount,
    WantedItem,
    WantedPart,
    WantedSplit,
    WantedSubscription,
    WantedTerms,
)
from billing.contracts.standing import Standing, Subscription
from billing.contracts.store import SQL, Row
from billing.errors import NotFound, Refused
from billing.money import Money
from billing.sql import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A version of a template as it is stored."""

    name: str
    version: int
    project: Project
    actor: str
    created_at: datetime

    @property
    def label(self) -> str:
        return f"{self.name}:{self.version}"


async def save(connection: Connection, name: str, project: Project, act: Act) -> Template:
    """Keep a project as the newest version of a template. Contracts that were made of older ones stay as they are.

    Raises:
        Refused: no template can have this name.
    """
    if not ID.fullmatch(name):
        raise Refused(
            f"{name!r} cannot name a template", "use letters, digits, dot, dash and underscore, at most 64 of them"
        )
    body = project_to_json(project)
    async with connection.transaction():
        version = await SQL.insert_template.fetchval(
            connection, name=name, document=json.dumps(body), actor=act.actor, created_at=act.now
        )
        await act.tell(connection, "save", name, noun=Noun.TEMPLATE, after=body)
    return Template(name=name, version=version, project=project, actor=act.actor, created_at=act.now)


async def require_template(connection: Connection, name: str, version: int | None = None) -> Template:
    """A version of a template, the newest unless said.

    Raises:
        NotFound: there is none.
    """
    row = await SQL.find_template.fetchrow(connection, name=name, version=version)
    if row is None:
        what = f"no template {name}" if version is None else f"no version {version} of a template {name}"
        raise NotFound(what, "list them with csms contract template list")
    return _template(row)


async def list_templates(connection: Connection) -> list[Template]:
    """The newest version of each."""
    return [_template(row) for row in await SQL.list_templates.fetch(connection)]


def _template(row: Row) -> Template:
    return Template(
        name=row["name"],
        version=row["version"],
        project=project_from_json(json.loads(row["document"])),
        actor=row["actor"],
        created_at=row["created_at"],
    )


async def project_of(connection: Connection, contract: str, act: Act, *, newest_plans: bool = False) -> Project:
    """A contract as a project: all that was put into it, its days as distances from its begin.

    Of what was changed the last state counts. Whose it is, and its tokens, are not part of it. With `newest_plans` it asks
    for plans as they will be then, else for the versions that the contract has.

    Raises:
        NotFound: no such contract.
    """
    loaded = await require(connection, contract, act)
    standing, row = loaded.standing, loaded.row
    start = standing.terms.starts_on
    items = await SQL.list_items.fetch(connection, contract=contract, id=None)
    parts = await SQL.list_milestones.fetch(connection, contract=contract, id=None)
    return Project(
        currency=standing.currency,
        title=standing.title,
        terms=WantedTerms.of(standing.terms),
        price_with_tax=row["price_with_tax"],
        country=standing.country,
        reference=row["reference"],
        labels=json.loads(row["labels_json"]),
        partners=tuple(Partner(**each) for each in json.loads(row["partners_json"])),
        remind_before=standing.remind_before,
        subscriptions=_subscriptions(standing, start, newest_plans=newest_plans),
        items=tuple(_item(each, start) for each in items if each["cancelled_at"] is None),
        splits=_splits(parts, start),
        discounts=tuple(
            WantedDiscount(
                label=each.label, target=each.target, percent=each.percent, periods=each.periods, only=each.only,
                amount=None if each.amount_minor is None else Money(each.amount_minor, standing.currency).decimal,
                after=Offset.between(start, each.days.first), until=_until(start, each.days),
            )
            for each in standing.discounts
        ),
    )  # fmt: skip


def _subscriptions(standing: Standing, start: date, *, newest_plans: bool) -> tuple[WantedSubscription, ...]:
    last: dict[int, Subscription] = {each.line: each for each in standing.subscriptions}
    return tuple(
        WantedSubscription(
            plan=each.plan_id,
            version=None if newest_plans else each.version,
            quantity=each.quantity,
            after=Offset.between(start, each.begins),
            until=_until(start, each.days),
        )
        for each in last.values()
    )


def _until(start: date, days: Days) -> Offset | None:
    return None if days.until is None else Offset.between(start, days.until)


def _item(row: Row, start: date) -> WantedItem:
    names = ("name", "unit_price", "quantity", "supply", "unit", "description", "country", "price_with_tax")
    return WantedItem(after=Offset.between(start, row["due_on"]), **{name: row[name] for name in names})


def _splits(rows: Sequence[Row], start: date) -> tuple[WantedSplit, ...]:
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault(row["split"], []).append(row)
    return tuple(
        WantedSplit(
            name=parts[0]["split_name"],
            total=Money(parts[0]["total_minor"], parts[0]["currency"]).decimal,
            supply=parts[0]["supply"],
            country=parts[0]["country"],
            price_with_tax=parts[0]["price_with_tax"],
            parts=tuple(
                WantedPart(
                    name=each["name"],
                    percent=each["percent"],
                    event=each["event"],
                    after=None if each["event"] is not None else Offset.between(start, each["due_on"]),
                )
                for each in parts
            ),
        )
        for parts in found.values()
    )
