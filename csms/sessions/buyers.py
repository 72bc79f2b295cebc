"""Who buys where: what the choice of a tariff looks at beside the charge point, as it stood when sessions began."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing import NOBODY, Customer, NotFound, Place
from csms.sessions.store import SQL
from csms.sites.service import location_groups_at
from csms.tokens.service import tokens_at
from csms.tokens.token import Token, canonical


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """A token that charges at a site from `at` on; we heard of it at `heard_at`."""

    site: str
    token: str
    at: datetime
    heard_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Buyer:
    customer: Customer = NOBODY
    location_groups: frozenset[str] = frozenset()


async def buyers(connection: Any, purchases: Mapping[int, Purchase]) -> dict[int, Buyer]:
    """By the same keys, two statements for all.

    A token that was issued after the start, but before we heard of it, counts as it did when we heard: offline sessions
    may be older than the card's entry in our books.
    """
    presented = [(each.token, at) for each in purchases.values() for at in (each.at, each.heard_at)]
    tokens = await tokens_at(connection, presented)
    groups = await location_groups_at(connection, [(each.site, each.at) for each in purchases.values()])

    def buyer(each: Purchase) -> Buyer:
        uid = canonical(each.token)
        token = tokens[uid, each.at] or tokens[uid, each.heard_at]
        return Buyer(customer=customer_of(token), location_groups=groups[each.site, each.at])

    return {key: buyer(each) for key, each in purchases.items()}


async def place_of(connection: Any, charge_point: str, token: str | None, at: datetime) -> Place:
    """Where and for whom a session of this charge point and token at this instant would be priced.

    Raises:
        NotFound: no such charge point or token.
    """
    row = await SQL.place_of_charge_point.fetchrow(connection, charge_point=charge_point)
    if row is None:
        raise NotFound(f"no charge point {charge_point}", "list them with csms cp list")
    customer = NOBODY
    if token is not None:
        [known] = (await tokens_at(connection, [(token, at)])).values()
        if known is None:
            raise NotFound(f"no token {canonical(token)} at {at.isoformat()}", "list them with csms token list")
        customer = customer_of(known)
    groups = await location_groups_at(connection, [(row["site"], at)])
    return Place(
        charge_point=row["id"],
        site=row["site"],
        currency=row["currency"],
        at=at,
        location_groups=groups[row["site"], at],
        customer=customer,
        product=row["product"],
    )


def customer_of(token: Token | None) -> Customer:
    """What prices look at of a token."""
    return NOBODY if token is None else Customer(token_group=token.group, user_class=token.user_class)
