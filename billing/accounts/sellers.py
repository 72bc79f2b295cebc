"""Entering sellers, and who sells where. Callers hold the connection; every edit is one transaction with its audit entry."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from billing.accounts import store
from billing.accounts.seller import Seller, SellerDetails, mistakes_in_seller, today_of
from billing.accounts.store import SQL
from billing.audit import service as audit
from billing.audit.entry import Change
from billing.errors import AlreadyDone, NotFound, Refused
from billing.sql import Connection

SEE_SELLERS = "list them with csms seller list"


async def create(connection: Connection, seller: Seller, *, now: datetime, actor: str, reason: str) -> Seller:
    """Make a seller known.

    Raises:
        Refused: its documents would lack what the law asks for, or a number in it is none.
        AlreadyDone: there is one of that id.
    """
    _require(seller)
    values = store.seller_values(seller.details)
    async with connection.transaction():
        made = await SQL.insert_seller.fetchval(connection, id=seller.id, details=json.dumps(values), now=now)
        if made is None:
            raise AlreadyDone(f"there is a seller {seller.id}", f"see csms seller show {seller.id}")
        change = Change(noun="seller", subject=seller.id, action="create", after=values)
        await audit.record(connection, [change], now=now, actor=actor, reason=reason)
    return seller


async def change(
    connection: Connection,
    id_: str,
    changed: Callable[[SellerDetails], SellerDetails],
    *,
    now: datetime,
    actor: str,
    reason: str,
) -> Seller:
    """Change what documents show of a seller from now on; issued ones stay as they are.

    Raises:
        NotFound: no such seller.
        Refused: as for create().
    """
    async with connection.transaction():
        before = await lock(connection, id_)
        after = Seller(id=id_, details=changed(before.details))
        _require(after)
        old, new = store.seller_values(before.details), store.seller_values(after.details)
        await SQL.update_seller.execute(connection, id=id_, details=json.dumps(new))
        entry = Change(noun="seller", subject=id_, action="set", before=old, after=new)
        await audit.record(connection, [entry], now=now, actor=actor, reason=reason)
    return after


async def lock(connection: Connection, id_: str) -> Seller:
    """A seller, nobody else's to change until the transaction ends.

    Raises:
        NotFound: no such seller.
    """
    row = await SQL.lock_seller.fetchrow(connection, id=id_)
    if row is None:
        raise NotFound(f"no seller {id_}", SEE_SELLERS)
    return store.read_seller(row)


def _require(seller: Seller) -> None:
    wrong = mistakes_in_seller(seller)
    if wrong:
        raise Refused(f"seller {seller.id}: {wrong[0]}", "correct it", details={"problems": wrong})


async def get(connection: Connection, id_: str) -> Seller:
    """Raises:
    NotFound: no such seller.
    """
    found = await store.sellers(connection, id_)
    if not found:
        raise NotFound(f"no seller {id_}", SEE_SELLERS)
    return found[0]


async def today_at(connection: Connection, id_: str, *, now: datetime) -> date:
    """The day where a seller is.

    Raises:
        NotFound: no such seller.
    """
    return today_of(await get(connection, id_), now)


async def list_sellers(connection: Connection) -> list[Seller]:
    return await store.sellers(connection)


async def sell_at(
    connection: Connection,
    site: str,
    seller: str,
    *,
    brand: str | None = None,
    valid_from: datetime,
    now: datetime,
    actor: str,
    reason: str,
) -> dict[str, Any]:
    """Say who sells at a site, under which brand, from an instant on, to drivers without a contract.

    Raises:
        NotFound: no such site or seller.
        Refused: the seller has no such brand.
        AlreadyDone: something is said for that instant.
    """
    async with connection.transaction():
        if not await SQL.is_site_known.fetchval(connection, site=site):
            raise NotFound(f"no site {site}", "list them with csms site list")
        await get(connection, seller)
        if brand is not None and not await SQL.brands.fetch(connection, id=brand, seller=seller):
            raise Refused(f"{seller} has no brand {brand}", "list them with csms brand list")
        made = await SQL.insert_site_seller.fetchval(
            connection, site=site, seller=seller, brand=brand, valid_from=valid_from, actor=actor, now=now
        )
        if made is None:
            raise AlreadyDone(
                f"who sells at {site} from {valid_from.isoformat()} on has been said", "choose another instant"
            )
        said = {"site": site, "seller": seller, "brand": brand, "valid_from": valid_from.isoformat()}
        entry = Change(noun="seller", subject=seller, action="sell_at", after=said)
        await audit.record(connection, [entry], now=now, actor=actor, reason=reason)
    return {"site": site, "seller": seller, "brand": brand, "valid_from": valid_from}


async def sites_of(connection: Connection, seller: str | None = None) -> list[dict[str, Any]]:
    """Who sells where since when, of one seller or of all."""
    return [dict(row) for row in await SQL.site_sellers.fetch(connection, seller=seller)]
