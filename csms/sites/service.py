"""Sites: where charge points stand, with the country, the time zone and the currency that hold there."""

from __future__ import annotations

import re
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from billing import MINOR_DIGITS, AlreadyDone, NotFound, Queries, Refused

SQL = Queries.load(__package__)


async def create(
    connection: Any, site: str, *, name: str, country: str, time_zone: str, currency: str
) -> dict[str, Any]:
    """Make a site known. Time zone and currency are what its sessions are rated in, and never change."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", site):
        raise Refused(f"{site!r} is no site id", "use letters, digits, dot, dash and underscore, at most 64")
    if not re.fullmatch(r"[A-Z]{2}", country):
        raise Refused(f"{country!r} is no country", "use two capital letters (ISO 3166-1), such as DE")
    if currency not in MINOR_DIGITS:
        raise Refused(f"{currency!r} is no currency", "use an ISO 4217 code such as EUR")
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, IsADirectoryError):
        raise Refused(f"no time zone {time_zone!r}", "name it as in Europe/Berlin") from None
    made = await SQL.insert_site.fetchval(
        connection, id=site, name=name, country=country, time_zone=time_zone, currency=currency
    )
    if made is None:
        raise AlreadyDone(f"site {site} exists already", f"see csms site show {site}")
    return await get(connection, site)


async def list_sites(connection: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in await SQL.list_sites.fetch(connection, id=None)]


async def get(connection: Any, site: str) -> dict[str, Any]:
    """One site.

    Raises:
        NotFound: naming how to create it.
    """
    row = await SQL.list_sites.fetchrow(connection, id=site)
    if row is None:
        raise NotFound(f"no site {site}", f"create it: csms site create {site} ...")
    return dict(row)
