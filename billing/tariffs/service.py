"""Entering, assigning and resolving tariffs. Callers hold the connection; every edit is one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from billing.errors import NotFound, Refused
from billing.sql import Connection
from billing.tariffs import store
from billing.tariffs.assignment import (
    EVERYBODY,
    Assignment,
    Audience,
    Place,
    Resolved,
    Scope,
    TariffVersion,
    Unresolved,
    Verdict,
    Wanted,
    by_target,
    judge,
    newest_in_force,
    resolve,
)
from billing.tariffs.idle import IdleAfterStop
from billing.tariffs.lint import refusals
from billing.tariffs.ocpi_json import load_json
from billing.tariffs.offer import PriceBook
from billing.tariffs.store import SQL, TariffCache
from billing.tariffs.tariff import Tariff, TariffInvalid, parse_tariff
from billing.taxes.store import rules_of

ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
"""From when a tariff's first version holds unless told: it prices nothing before it is assigned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """The version that stands for the document. `existed`: the newest version is the same, nothing was stored."""

    id: str
    version: int
    valid_from: datetime
    existed: bool


def this_minute(now: datetime) -> datetime:
    """From when an edit holds unless told: charge points write whole seconds and their clocks differ a little."""
    return now.replace(second=0, microsecond=0)


def parse_document(text: str | bytes) -> Tariff:
    """A tariff file that can be read.

    Raises:
        Refused: it is no JSON or no OCPI tariff; `details` has every problem.
    """
    try:
        return parse_tariff(load_json(text))
    except TariffInvalid as wrong:
        problems = [{"path": each.path, "message": each.message, "next": each.next_step} for each in wrong.problems]
        raise Refused("this is no usable tariff", "correct what is listed", details={"problems": problems}) from wrong
    except (ValueError, RecursionError) as wrong:
        raise Refused(f"this is no JSON: {wrong}", "give a file with one OCPI tariff object") from wrong


def read_tariff(text: str | bytes) -> Tariff:
    """A tariff file that may be stored.

    Raises:
        Refused: see `parse_document`, or it contradicts itself.
    """
    tariff = parse_document(text)
    found = [{"path": each.path, "message": each.message, "next": each.next_step} for each in refusals(tariff)]
    if found:
        raise Refused("the tariff contradicts itself", "correct what is listed", details={"problems": found})
    return tariff


async def create(
    connection: Connection,
    document: str | bytes,
    *,
    now: datetime,
    valid_from: datetime | None = None,
    idle: IdleAfterStop | None = None,
) -> Created:
    """Store a tariff, or the next version where its id exists.

    What says the same as the newest version is that version: nothing is stored, so that a script may run again. Unless
    told, a first version holds always, a later one from this minute.

    Raises:
        Refused: unusable document (see `read_tariff`), or another currency than the versions before.
    """
    tariff = read_tariff(document)
    body = store.canonical_body(tariff)
    async with connection.transaction():
        await SQL.lock_for_editing.execute(connection, key=store.LOCK_KEY)
        newest = await SQL.newest_version.fetchrow(connection, id=tariff.id)
        if newest is not None:
            same_idle = idle == IdleAfterStop.of(is_on=newest["idle_after_stop"], cap_s=newest["idle_cap_s"])
            same = same_idle and newest["sha256"] == store.sha256_of(body)
            if same and (valid_from is None or valid_from >= newest["valid_from"]):
                return Created(id=tariff.id, version=newest["version"], valid_from=newest["valid_from"], existed=True)
            _require_same_currency(tariff, newest["currency"])
        number = 1 if newest is None else newest["version"] + 1
        begin = valid_from or (ALWAYS if newest is None else this_minute(now))
        stored = parse_tariff(load_json(body), version=number)
        await store.insert_version(
            connection, TariffVersion(tariff=stored, valid_from=begin, entered_at=now, idle=idle), body=body
        )
        await SQL.wake_sessions_without_tariff.execute(connection)
    return Created(id=tariff.id, version=number, valid_from=begin, existed=False)


def _require_same_currency(tariff: Tariff, currency: str) -> None:
    if tariff.currency != currency:
        raise Refused(
            f"tariff {tariff.id} is in {currency}; a version in {tariff.currency} would change what its assignments mean",
            "give the new tariff another id and assign that",
        )


async def assign(
    connection: Connection,
    tariff: str,
    *,
    scope: Scope,
    target: str | None,
    now: datetime,
    valid_from: datetime | None = None,
    valid_to: datetime | None = None,
    audience: Audience = EVERYBODY,
    priority: int = 0,
) -> Assignment:
    """Let `target` (None for the default) charge by `tariff` from `valid_from` on, this minute unless told, to `valid_to`.

    The entry that is there already is not entered twice.

    Raises:
        NotFound: no such tariff, charge point, site or location group.
        Refused: the tariff is in another currency than the site, or the end is not after the begin.
    """
    begin = valid_from or this_minute(now)
    if valid_to is not None and valid_to <= begin:
        raise Refused(
            f"the end, {valid_to.isoformat()}, is not after the begin, {begin.isoformat()}", "give a later --until"
        )
    async with connection.transaction():
        await SQL.lock_for_editing.execute(connection, key=store.LOCK_KEY)
        newest = await SQL.newest_version.fetchrow(connection, id=tariff)
        if newest is None:
            raise NotFound(f"no tariff {tariff}", "list them with csms tariff list, or add it with csms tariff create")
        target = await _check_target(connection, tariff, newest["currency"], scope, target)
        wanted = Wanted(
            tariff=tariff, scope=scope, target=target, valid_from=begin, audience=audience, priority=priority
        )
        stored = await _enter(connection, wanted, now=now)
        if valid_to is not None:
            await _enter(connection, replace(wanted, tariff=None, valid_from=valid_to), now=now)
        await SQL.wake_sessions_without_tariff.execute(connection)
    return stored


async def _enter(connection: Connection, wanted: Wanted, *, now: datetime) -> Assignment:
    same = await store.same_assignment(connection, wanted)
    if same is not None and same.tariff == wanted.tariff:
        return same
    return await store.insert_assignment(connection, wanted, entered_at=now)


async def unassign(
    connection: Connection, assignment: int, *, now: datetime, valid_to: datetime | None = None
) -> Assignment:
    """End an assignment at `valid_to`, this minute unless told. Sessions that began before keep their tariff.

    Raises:
        NotFound: no such assignment.
        Refused: it is an end itself, or would end before it begins.
    """
    end = valid_to or this_minute(now)
    async with connection.transaction():
        await SQL.lock_for_editing.execute(connection, key=store.LOCK_KEY)
        known = await store.find_assignment(connection, assignment)
        if known is None:
            raise NotFound(f"no assignment {assignment}", "see csms tariff assignments")
        if known.tariff is None:
            raise Refused(f"assignment {assignment} is the end of one", "see csms tariff assignments")
        if end < known.valid_from:
            raise Refused(f"assignment {assignment} begins at {known.valid_from.isoformat()}", "give a later --from")
        slot = [each for each in await store.all_assignments(connection) if each.slot == known.slot]
        newer = newest_in_force([each for each in slot if each.valid_from <= end])
        if newer is not None and newer.id != known.id:
            raise Refused(
                f"assignment {assignment} is over: assignment {newer.id} followed at {newer.valid_from.isoformat()}",
                "see csms tariff assignments",
            )
        wanted = Wanted(
            tariff=None, scope=known.scope, target=known.target, valid_from=end, audience=known.audience,
            priority=known.priority,
        )  # fmt: skip
        return await _enter(connection, wanted, now=now)


async def _check_target(
    connection: Connection, tariff: str, currency: str, scope: Scope, target: str | None
) -> str | None:
    """The target as it is stored; refuses one that does not exist or has another currency."""
    if scope is Scope.DEFAULT:
        currencies = [row["currency"] for row in await SQL.site_currencies.fetch(connection)]
        if currencies and currency not in currencies:
            raise _other_currency(tariff, currency, "every site", ", ".join(currencies))
        return None
    stored, where = await places_of(connection, scope, str(target))
    for place, theirs in where:
        if theirs != currency:
            raise _other_currency(tariff, currency, place, theirs)
    return stored


async def places_of(connection: Connection, scope: Scope, target: str) -> tuple[str, list[tuple[str, str]]]:
    """The target as it is stored, and each place that it means with the place's currency."""
    match scope:
        case Scope.SITE:
            site = await SQL.find_site.fetchrow(connection, id=target)
            if site is None:
                raise NotFound(f"no site {target}", "list them with csms site list")
            return str(site["id"]), [(f"site {target}", site["currency"])]
        case Scope.LOCATION_GROUP:
            found = await SQL.find_location_group.fetch(connection, id=target)
            if not found:
                raise NotFound(f"no site is in location group {target}", f"csms site join {target} SITE")
            where = f"of location group {target}"
            return target, [(f"site {row['sites'][0]} {where}", row["currency"]) for row in found]
        case _:
            point = await SQL.find_charge_point.fetchrow(connection, id=target)
            if point is None:
                raise NotFound(f"no charge point {target}", "list them with csms cp list")
            return str(point["id"]), [(f"charge point {target} at {point['site']}", point["currency"])]


def _other_currency(tariff: str, currency: str, where: str, theirs: str) -> Refused:
    return Refused(f"tariff {tariff} is in {currency}, {where} in {theirs}", f"assign a tariff in {theirs}")


async def resolve_places(
    connection: Connection, places: Mapping[int, Place], cache: TariffCache
) -> dict[int, Resolved | Unresolved]:
    """The tariff of each session, by session. Until the transaction ends nobody can enter another."""
    if not places:
        return {}
    await SQL.lock_for_resolving.execute(connection, key=store.LOCK_KEY)
    assignments = await store.assignments_for(
        connection,
        charge_points={place.charge_point for place in places.values()},
        sites={place.site for place in places.values()},
        location_groups={group for place in places.values() for group in place.location_groups},
        until=max(place.at for place in places.values()),
    )
    versions = await cache.all_of(connection, {each.tariff for each in assignments if each.tariff is not None})
    grouped = by_target(assignments)
    return {session: resolve(place, grouped, versions) for session, place in places.items()}


async def price_book(
    connection: Connection,
    *,
    charge_point: str,
    site: str,
    location_groups: Collection[str],
    country: str,
    time_zone: str,
    until: datetime,
    cache: TariffCache,
) -> PriceBook:
    """All that could price sessions of a charge point that begin up to `until`, for those who tell prices beforehand."""
    assignments = await store.assignments_for(
        connection, charge_points=[charge_point], sites=[site], location_groups=location_groups, until=until
    )
    versions = await cache.all_of(connection, {each.tariff for each in assignments if each.tariff is not None})
    rules = await rules_of(connection, [country])
    return PriceBook(
        assignments=by_target(assignments),
        versions=versions,
        country=country,
        time_zone=time_zone,
        tax_rules=rules[country],
    )


async def prices_reservations(connection: Connection, places: Mapping[int, Place]) -> frozenset[int]:
    """Those of these places whose tariff has a price for reservations."""
    outcomes = await resolve_places(connection, places, TariffCache())
    return frozenset(
        key
        for key, outcome in outcomes.items()
        if isinstance(outcome, Resolved)
        and any(element.restrictions.reservation is not None for element in outcome.tariff.elements)
    )


async def which(connection: Connection, place: Place) -> list[Verdict]:
    """What each assignment means for a session at this place, the deciding one first: the resolution itself, told."""
    assignments = await store.all_assignments(connection)
    versions = await TariffCache().all_of(connection, {each.tariff for each in assignments if each.tariff is not None})
    verdicts = judge(place, assignments, versions, known_by=place.at)
    if any(each.version is not None for each in verdicts):
        return verdicts
    return judge(place, assignments, versions, known_by=None)


async def list_assignments(connection: Connection) -> list[Assignment]:
    """Every assignment, in the order in which they were entered."""
    return await store.all_assignments(connection)


async def require_site(connection: Connection, site: str) -> None:
    """A site that is misspelt must not look like one without sessions.

    Raises:
        NotFound: no such site.
    """
    await country_of(connection, site)


async def country_of(connection: Connection, site: str) -> str:
    """The country of a site (ISO 3166-1, two letters), whose law holds there.

    Raises:
        NotFound: no such site.
    """
    found = await SQL.find_site.fetchrow(connection, id=site)
    if found is None:
        raise NotFound(f"no site {site}", "list them with csms site list")
    return str(found["country"])


async def list_tariffs(connection: Connection) -> list[dict[str, Any]]:
    """Each tariff's newest version, and how often it is assigned."""
    return [dict(row) for row in await SQL.list_tariffs.fetch(connection)]


async def show(connection: Connection, tariff: str, *, version: int | None = None) -> TariffVersion:
    """A version of a tariff, the newest unless told.

    Raises:
        NotFound: no such tariff or version.
    """
    versions = (await TariffCache().all_of(connection, [tariff]))[tariff]
    chosen = [each for each in versions if version in (None, each.number)]
    if not chosen:
        named = f"no tariff {tariff}" if version is None else f"tariff {tariff} has no version {version}"
        raise NotFound(named, "list them with csms tariff list")
    return chosen[-1]


async def assignments_of(connection: Connection, tariff: str) -> Collection[Assignment]:
    """Where a tariff holds, in the order in which it was entered."""
    return await store.assignments_of(connection, tariff)
