"""Tax rules and customers in the database: rows to values and back. Decides nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from billing.sql import Connection, Queries
from billing.taxes.tax_decision import TaxedCustomer
from billing.taxes.tax_rule import Category, CustomerKind, TaxRule, VatIdAsked, supplied

SQL: Final = Queries.load("billing.taxes")

LOCK_KEY: Final = 0x746178
"""Of the advisory lock between those who edit rules and those who decide by them ("tax" in ASCII)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRule:
    """`entered` as the operator said it; `rule` as it holds since, by its end. A withdrawn one never held."""

    entered: TaxRule
    rule: TaxRule
    withdrawn: bool
    actor: str
    entered_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerSaid:
    """From `valid_from` on the holder of a token, or of every token of a group, is `customer`."""

    token: str | None
    token_group: str | None
    customer: TaxedCustomer
    valid_from: datetime
    actor: str
    entered_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """Who charges: a token and its group then."""

    token: str | None
    token_group: str | None


async def stored_rules(connection: Connection, countries: Collection[str] | None = None) -> list[StoredRule]:
    """Every rule of these countries, of all unless said; by country, begin and id."""
    wanted = None if countries is None else sorted(countries)
    return [_stored(row) for row in await SQL.rules_of.fetch(connection, countries=wanted)]


async def rules_of(connection: Connection, countries: Collection[str]) -> dict[str, list[TaxRule]]:
    """The rules that hold or held in these countries, by country."""
    found: dict[str, list[TaxRule]] = {country: [] for country in countries}
    for each in await stored_rules(connection, countries):
        if not each.withdrawn:
            found[each.rule.country].append(each.rule)
    return found


def _stored(row: Any) -> StoredRule:
    entered = TaxRule(
        id=row["id"],
        country=row["country"],
        rate=row["rate"],
        category=Category(row["category"]),
        valid_from=row["valid_from"],
        valid_to=row["valid_to"],
        customer=None if row["customer"] is None else CustomerKind(row["customer"]),
        vat_id=None if row["vat_id"] is None else VatIdAsked(row["vat_id"]),
        supply=None if row["supply"] is None else supplied(row["supply"]),
        note=row["note"],
    )
    return StoredRule(
        entered=entered,
        rule=replace(entered, valid_to=row["ends_on"]),
        withdrawn=row["withdrawn"],
        actor=row["actor"],
        entered_at=row["entered_at"],
    )


async def insert_rule(connection: Connection, rule: TaxRule, *, actor: str, entered_at: datetime) -> None:
    await SQL.insert_rule.execute(
        connection,
        id=rule.id,
        country=rule.country,
        customer=rule.customer,
        vat_id=rule.vat_id,
        supply=None if rule.supply is None else rule.supply.value,
        rate=rule.rate,
        category=rule.category,
        note=rule.note,
        valid_from=rule.valid_from,
        valid_to=rule.valid_to,
        actor=actor,
        entered_at=entered_at,
    )


async def insert_customer(
    connection: Connection,
    bearer: Bearer,
    customer: TaxedCustomer,
    *,
    valid_from: datetime,
    actor: str,
    entered_at: datetime,
) -> CustomerSaid:
    row = await SQL.insert_customer.fetchrow(
        connection,
        token=bearer.token,
        token_group=bearer.token_group,
        kind=customer.kind,
        vat_id=customer.vat_id,
        valid_from=valid_from,
        actor=actor,
        entered_at=entered_at,
    )
    assert row is not None, "an INSERT ... RETURNING gives its row"
    return _said(row)


async def customers_said(connection: Connection) -> list[CustomerSaid]:
    """Everything that was said of customers, in the order in which it was entered."""
    return [_said(row) for row in await SQL.list_customers.fetch(connection)]


def _said(row: Any) -> CustomerSaid:
    return CustomerSaid(
        token=row["token"],
        token_group=row["token_group"],
        customer=_customer(row),
        valid_from=row["valid_from"],
        actor=row["actor"],
        entered_at=row["entered_at"],
    )


def _customer(row: Any) -> TaxedCustomer:
    return TaxedCustomer(kind=CustomerKind(row["kind"]), vat_id=row["vat_id"])


async def customers_at(
    connection: Connection, wanted: Mapping[int, tuple[Bearer, datetime]]
) -> dict[int, TaxedCustomer]:
    """What these were at their instants, by key, one statement for all; of whom nothing was said is left out."""
    rows = await SQL.customers_at.fetch(
        connection,
        ns=list(wanted),
        tokens=[bearer.token for bearer, _ in wanted.values()],
        token_groups=[bearer.token_group for bearer, _ in wanted.values()],
        ats=[at for _, at in wanted.values()],
    )
    return {row["n"]: _customer(row) for row in rows}
