"""Sites: where charge points stand, with the country, the time zone and the currency that hold there."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from typing import Any

from billing import MINOR_DIGITS, AlreadyDone, NoSuchZone, NotFound, Queries, Refused, zone_named

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
        zone_named(time_zone)
    except NoSuchZone:
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


async def join(connection: Any, location_group: str, site: str, *, actor: str) -> dict[str, Any]:
    """Put a site into a location group, from now on: a tariff that is assigned to the group then holds there.

    Raises:
        NotFound: no such site.
        AlreadyDone: it is in the group.
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", location_group):
        raise Refused(
            f"{location_group!r} is no name of a group", "use letters, digits, dot, dash and underscore, at most 64"
        )
    return await _move(connection, location_group, site, is_member=True, actor=actor)


async def leave(connection: Any, location_group: str, site: str, *, actor: str) -> dict[str, Any]:
    """Take a site out of a location group, from now on.

    Raises:
        NotFound: no such site.
        AlreadyDone: it is not in the group.
    """
    return await _move(connection, location_group, site, is_member=False, actor=actor)


async def _move(connection: Any, location_group: str, site: str, *, is_member: bool, actor: str) -> dict[str, Any]:
    known = await get(connection, site)
    members = [row["site"] for row in await SQL.location_groups.fetch(connection, location_group=location_group)]
    if (known["id"] in members) is is_member:
        raise AlreadyDone(
            f"site {site} is {'' if is_member else 'not '}in location group {location_group}", "see csms site groups"
        )
    await SQL.insert_group_event.execute(
        connection, site=known["id"], location_group=location_group, is_member=is_member, actor=actor
    )
    return {"location_group": location_group, "site": known["id"], "is_member": is_member}


async def location_groups(connection: Any) -> list[dict[str, Any]]:
    """Each site that is in a group now, with since when."""
    return [dict(row) for row in await SQL.location_groups.fetch(connection, location_group=None)]


async def location_groups_at(
    connection: Any, wanted: Collection[tuple[str, datetime]]
) -> dict[tuple[str, datetime], frozenset[str]]:
    """The groups that these sites were in at these instants, one statement for all."""
    asked = sorted(set(wanted))
    if not asked:
        return {}
    rows = await SQL.location_groups_at.fetch(
        connection, sites=[site for site, _ in asked], ats=[at for _, at in asked]
    )
    found = {asked[row["n"] - 1]: frozenset(row["location_groups"]) for row in rows}
    return {key: found.get(key, frozenset()) for key in asked}
