"""Site limits as operators handle them: set, taken off, looked at; how EVSEs are wired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from billing import AlreadyDone, Refused
from csms.site_limits.books import SQL, Books, Known, Timing, newest_limit, read_books
from csms.site_limits.exposure import Reach, Slot
from csms.site_limits.grid import SiteLimit, problems
from csms.site_limits.plan import Plan
from csms.site_limits.planner import plan_of
from csms.site_limits.profiles import cannot
from csms.site_limits.profiles import set_limit as set_profile
from csms.site_limits.wiring import ROTATION_LINES, Via, Wiring
from csms.smart_charging.installed import Installed

EVSES_MAX = 100


async def set_limit(
    connection: Any, site: str, limit: SiteLimit, timing: Timing, *, actor: str
) -> list[dict[str, Any]]:
    """Keep this limit from now on; how it will be shared.

    Raises:
        NotFound: there is no such site.
        Refused: it cannot be kept, with every reason.
    """
    rows = await preview(connection, site, limit, timing)
    await SQL.insert_limit.execute(
        connection, site=site, amps=limit.amps, phases=limit.phases, min_a=limit.min_a, offline_a=limit.offline_a,
        rotate=limit.rotate, voltage_v=limit.voltage_v, reserves=limit.reserves_to_json(), actor=actor,
    )  # fmt: skip
    return rows


async def preview(connection: Any, site: str, limit: SiteLimit, timing: Timing) -> list[dict[str, Any]]:
    """How a limit would be shared now, nothing being sent. Raises as `set_limit`."""
    now = datetime.now(UTC)
    books = await read_books(connection, site, timing, now=now, instead=limit)
    found = problems(limit, [place.amps_max for place in books.places])
    if found:
        raise Refused(f"{limit.amps} A cannot be kept at {site}: {'; '.join(found)}", "see csms site limit set --help")
    return rows_of(books, plan_of(books, timing, now=now), now)


async def clear(connection: Any, site: str, *, actor: str) -> int:
    """No limit any more; the server takes its profiles off as it reaches the charge points. How many there may be.

    Raises:
        NotFound: there is no such site.
        AlreadyDone: it has no limit.
    """
    limit, _ = await newest_limit(connection, site)
    if limit is None:
        raise AlreadyDone(f"site {site} has no limit", "nothing to do")
    await SQL.insert_limit.execute(
        connection, site=site, amps=None, phases=None, min_a=None, offline_a=None, rotate=None, voltage_v=None,
        reserves=None, actor=actor,
    )  # fmt: skip
    steps = await SQL.steps_of.fetch(connection, site=site)
    return len({(row["charge_point"], row["evse"], row["slot"]) for row in steps})


async def wire(connection: Any, charge_point: str, evse: int, said: Mapping[str, Any], *, actor: str) -> Wiring:
    """What an operator says of an EVSE, over what was said before.

    Raises:
        Refused: it is no such EVSE or no such rotation.
    """
    if not 1 <= evse <= EVSES_MAX:
        raise Refused(f"{evse} is no EVSE", f"they count from 1, to {EVSES_MAX} at most")
    row = await SQL.newest_wiring.fetchrow(connection, charge_point=charge_point, evse=evse)
    before = Wiring()
    if row is not None:
        before = Wiring(
            amps=row["amps"], phases=row["phases"], rotation=row["rotation"], via=Via(row["via"]), absent=row["absent"]
        )
    wiring = replace(before, **{name: value for name, value in said.items() if value is not None})
    if wiring.rotation is not None and wiring.rotation not in ROTATION_LINES:
        raise Refused(f"{wiring.rotation!r} is no rotation", f"it is one of {', '.join(sorted(ROTATION_LINES))}")
    await SQL.insert_wiring.execute(
        connection, charge_point=charge_point, evse=evse, amps=wiring.amps, phases=wiring.phases,
        rotation=wiring.rotation, via=wiring.via, absent=wiring.absent, actor=actor,
    )  # fmt: skip
    return wiring


async def show(connection: Any, site: str, timing: Timing) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Each EVSE, and the site as a whole.

    Raises:
        NotFound: there is no such site.
        Refused: it has no limit.
    """
    now = datetime.now(UTC)
    books = await read_books(connection, site, timing, now=now)
    if books.limit is None:
        raise Refused(f"site {site} has no limit", f"set one: csms site limit set {site} --amps ...")
    plan = plan_of(books, timing, now=now)
    return rows_of(books, plan, now), summary_of(books, plan, now)


async def profiles_of(connection: Any, site: str, charge_point: str, timing: Timing) -> list[Installed]:
    """The profiles by which a charge point holds its share, by what it has accepted."""
    books = await read_books(connection, site, timing, now=datetime.now(UTC))
    found = []
    for known in books.evses:
        place = known.place
        for slot, told in ((Slot.BASE, place.base), (Slot.TX, place.tx)):
            held = told.accepted
            if place.charge_point != charge_point or held is None or held.amps is None or cannot(known.target):
                continue
            command = set_profile(known.target, slot, held.amps)
            found.append(Installed(evse=command.evse, profile=command.profile, at=held.answered_at))
    return found


async def summaries(connection: Any, timing: Timing) -> list[dict[str, Any]]:
    """Every site that has a limit."""
    found = []
    now = datetime.now(UTC)
    for row in await SQL.limited_sites.fetch(connection, charge_points=None):
        books = await read_books(connection, row["id"], timing, now=now)
        if books.limit is not None:
            found.append(summary_of(books, plan_of(books, timing, now=now), now))
    return found


async def history(connection: Any, site: str, *, charge_point: str | None, most: int) -> list[dict[str, Any]]:
    """What operators wanted and what charge points were told, newest first.

    Raises:
        NotFound: there is no such site.
    """
    await newest_limit(connection, site)
    wanted = [] if charge_point else await SQL.limits_told.fetch(connection, site=site, most=most)
    steps = await SQL.steps_told.fetch(connection, site=site, charge_point=charge_point, most=most)
    rows: list[dict[str, Any]] = [
        {
            "at": row["at"],
            "what": "limit cleared" if row["amps"] is None else "limit set",
            "amps": row["amps"],
            "detail": None if row["amps"] is None else _words(dict(row)),
            "actor": row["actor"],
        }
        for row in wanted
    ]
    rows += [
        {
            "at": row["sent_at"],
            "what": "taken off" if row["amps"] is None else "told",
            "charge_point": row["charge_point"],
            "evse": row["evse"],
            "session": row["session"],
            "amps": row["amps"],
            "outcome": row["status"],
            "answered_at": row["answered_at"],
            "detail": row["detail"] or row["why"],
        }
        for row in steps
    ]
    return sorted(rows, key=lambda row: row["at"], reverse=True)[:most]


def _words(row: Mapping[str, Any]) -> str:
    reserves = f", reserve {' '.join(row['reserves'])}" if row["reserves"] else ""
    return (
        f"{row['phases']} phases, at least {row['min_a']} A, {row['offline_a']} A unheard, "
        f"turns of {row['rotate'].total_seconds() / 60:g} min{reserves}"
    )


# --- what is shown ---------------------------------------------------------------------------------------------------


def rows_of(books: Books, plan: Plan, now: datetime) -> list[dict[str, Any]]:
    """Each EVSE as an operator sees it."""
    return [_row(known, plan, now) for known in books.evses]


def _row(known: Known, plan: Plan, now: datetime) -> dict[str, Any]:
    place, stay = known.place, known.stay
    draw = None if known.vehicle is None else known.vehicle.draw(now)
    target = plan.targets.get(place.key)
    follows = place.reach in {Reach.LIVE, Reach.BUSY}
    unheard = min(plan.base_a, place.amps_max)
    return {
        "charge_point": place.charge_point,
        "evse": place.evse,
        "session": place.session,
        "wanted": None if stay is None else stay.want_a,
        "allowed": (unheard if target is None else target) if follows else None,
        "accepted": None if place.base.accepted is None else place.allowed_a,
        "counted": place.counted_a,
        "measured": None if draw is None else round(draw.amps, 1),
        "waiting_since": None if stay is None or stay.served else stay.since,
        "phases": "".join(f"L{line}" for line in sorted(place.lines)),
        "max": place.amps_max,
        "why": _why(known, target),
    }


def _why(known: Known, target: int | None) -> str:
    place = known.place
    counts = f"counts with {place.counted_a} A"
    match place.reach:
        case Reach.UNABLE:
            return f"{known.unable}: {counts}"
        case Reach.SILENT if not known.seen:
            return f"never connected: {counts}"
        case Reach.SILENT:
            since = "" if known.silent_since is None else f" since {known.silent_since:%Y-%m-%d %H:%M} UTC"
            return f"silent{since}: {counts}"
        case Reach.REFUSING:
            last = max((*place.base.since, *place.tx.since), key=lambda each: each.id)
            return f"answered {last.status or 'nothing'}: {counts} until it accepts one"
        case Reach.LIVE | Reach.BUSY:
            return _why_share(known, target)


def _why_share(known: Known, target: int | None) -> str:
    stay, place = known.stay, known.place
    if place.base.accepted is None:
        return f"has accepted no limit yet: counts with {place.counted_a} A"
    if stay is None or target is None:
        return "no vehicle"
    if target == 0:
        return "its turn is over, others wait longer" if stay.served else "waits for its turn"
    if stay.resting:
        return "takes nothing at present"
    if target >= place.amps_max:
        return "all that it can take"
    return "takes no more" if target >= stay.want_a else "fair share"


def summary_of(books: Books, plan: Plan, now: datetime) -> dict[str, Any]:
    """The site as a whole, by its fullest phase."""
    assert books.limit is not None, "rows are shown of a site with a limit"
    limit = books.limit
    return {
        "site": books.site,
        "amps": limit.amps,
        "phases": limit.phases,
        "reserved": limit.reserved_a(now, books.zone),
        "budget": max(plan.budget.values()),
        "counted": max(plan.counted.values(), default=0),
        "over": max(0, plan.over_a),
        "waiting": sum(1 for each in books.evses if each.stay is not None and not each.stay.served),
    }
