"""The doctor: gathers what is kept of a charge point, and says what is wrong with it. Reads only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncpg import Record

from billing import Queries
from csms.charge_points import service as charge_points
from csms.charge_points.charge_point import ChargePoint
from csms.charge_points.service import SQL as REGISTRY
from csms.doctor.chart import Chart, Kept, Message, SessionSeen, Socket, read_message
from csms.doctor.examination import Counted, Finding, examine
from csms.protocol.quirks.catalogue import Finder
from csms.protocol.redaction import redacted
from csms.quirks.service import SQL as QUIRKS
from csms.quirks.service import choice_of, is_active

SQL = Queries.load(__package__)
SINCE = timedelta(days=7)
MESSAGES_MAX = 2000
"""So many of the newest frames of one charge point are read; what they show is true of them."""
MESSAGES_MAX_OF_MANY = 500
"""The same where many charge points are looked at."""
SOCKETS_MAX = 200
SESSIONS_MAX = 200
KEPT_MAX = 200
_PLACEHOLDER = re.compile(r"\bCP\b")
EICHRECHT_COUNTRIES = frozenset({"DE"})
"""Where kWh are sold by measuring law, so that signed meter data is wanted unless an operator says otherwise."""


async def findings(
    connection: Any,
    charge_point: ChargePoint,
    *,
    heartbeat_interval_s: int,
    eichrecht: bool | None = None,
    messages_max: int = MESSAGES_MAX,
) -> list[Finding]:
    """What is to be said of a charge point, the gravest first. `eichrecht` None: by the country of its site."""
    now = datetime.now(UTC)
    country = await SQL.country_of.fetchval(connection, charge_point=charge_point.id)
    chart = Chart(
        charge_point=charge_point,
        now=now,
        heartbeat_interval_s=heartbeat_interval_s,
        wants_signed_data=country in EICHRECHT_COUNTRIES if eichrecht is None else eichrecht,
        messages=await _messages(connection, charge_point, since=now - SINCE, most=messages_max),
        sockets=await _sockets(connection, charge_point),
        sessions=await _sessions(connection, charge_point),
        orphans=await _orphans(connection, charge_point),
        quarantine=await _quarantine(connection, charge_point),
        settings=await _settings(connection, charge_point),
        template=await _template(connection, charge_point),
    )
    rows = await QUIRKS.seen.fetch(connection, charge_point=charge_point.id, name=None)
    counted = [
        Counted(
            name=row["name"], count=row["count"], first_at=row["first_at"], last_at=row["last_at"], frame=row["frame"]
        )
        for row in rows
    ]
    return [await _with_frame(connection, charge_point, each) for each in examine(chart, counted)]


async def _with_frame(connection: Any, charge_point: ChargePoint, finding: Finding) -> Finding:
    """A finding in a session whose messages are older than those that were read, with the frame that came then."""
    if finding.frame is not None or finding.last_at is None or finding.entry.by is not Finder.SESSION:
        return finding
    body = await SQL.frame_near.fetchval(connection, charge_point=charge_point.id, at=finding.last_at)
    return replace(finding, frame=body)


def shown(charge_point: ChargePoint, finding: Finding) -> dict[str, Any]:
    """The shape that scripts rely on."""
    entry = finding.entry
    return {
        "charge_point": charge_point.id,
        "severity": str(finding.severity),
        "name": entry.name,
        "how": str(finding.how),
        "count": finding.count,
        "first_at": finding.first_at,
        "last_at": finding.last_at,
        "says": entry.says,
        "evidence": finding.evidence,
        "billing": entry.billing,
        "kind": str(entry.kind),
        "ours": entry.ours,
        "choice": str(choice_of(charge_point, entry.name)) if entry.switchable else None,
        "active": is_active(charge_point, entry),
        "move": str(entry.move),
        "next": None if entry.next is None else _PLACEHOLDER.sub(charge_point.id, entry.next),
        "sessions": list(finding.sessions),
        "frame": finding.frame,
        "sources": list(entry.sources),
    }


def summed(charge_point: ChargePoint, found: Sequence[Finding]) -> dict[str, Any]:
    """One charge point in one row: how many findings of each severity, and the gravest by name."""
    seen = [each for each in found if each.how == "seen"]
    counts = {word: sum(1 for each in seen if each.severity == word) for word in ("error", "warning", "info")}
    return {
        "charge_point": charge_point.id,
        "site": charge_point.site,
        "vendor": charge_point.vendor,
        "model": charge_point.model,
        "firmware": charge_point.firmware,
        **counts,
        "gravest": [each.entry.name for each in seen if each.severity != "info"],
    }


async def of_site(connection: Any, site: str | None) -> list[ChargePoint]:
    """The charge points to look at, of one site or all."""
    listed = await charge_points.list_charge_points(connection, site=site)
    known = [await charge_points.find(connection, each["id"]) for each in listed]
    return [each for each in known if each is not None]


# --- what is kept ----------------------------------------------------------------------------------------------------


async def _messages(connection: Any, charge_point: ChargePoint, *, since: datetime, most: int) -> tuple[Message, ...]:
    rows = await SQL.frames_of.fetch(connection, charge_point=charge_point.id, since=since, most=most)
    return tuple(
        read_message(
            row["body"],
            at=row["received_at"],
            is_theirs=row["direction"] == "in",
            action=row["action"],
            socket=row["socket"],
        )
        for row in reversed(rows)
    )


async def _sockets(connection: Any, charge_point: ChargePoint) -> tuple[Socket, ...]:
    rows = await SQL.sockets_of.fetch(connection, charge_point=charge_point.id, most=SOCKETS_MAX)
    return tuple(
        Socket(
            id=row["id"],
            protocol=row["protocol"],
            remote=row["remote"],
            opened_at=row["opened_at"],
            closed_at=row["closed_at"],
            close_code=row["close_code"],
        )
        for row in reversed(rows)
    )


async def _sessions(connection: Any, charge_point: ChargePoint) -> tuple[SessionSeen, ...]:
    rows = await SQL.sessions_of.fetch(connection, charge_point=charge_point.id, most=SESSIONS_MAX)
    return tuple(_session(row) for row in reversed(rows))


def _session(row: Record) -> SessionSeen:
    """Flags that the fold does not find itself (stop_paired, transaction_id_reused) stand beside its findings."""
    rules = dict.fromkeys(row["flags"], "see csms session show")
    rules |= {each["rule"]: each["evidence"] for each in row["findings"]}
    return SessionSeen(
        id=row["id"],
        transaction=row["transaction"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        register_begin_wh=row["register_begin_wh"],
        register_end_wh=row["register_end_wh"],
        rules=rules,
        heard_at=row["heard_at"],
    )


async def _orphans(connection: Any, charge_point: ChargePoint) -> tuple[Kept, ...]:
    rows = await SQL.orphans_of.fetch(connection, charge_point=charge_point.id, most=KEPT_MAX)
    return tuple(Kept(at=row["received_at"], what=row["transaction"]) for row in reversed(rows))


async def _quarantine(connection: Any, charge_point: ChargePoint) -> tuple[Kept, ...]:
    rows = await SQL.quarantine_of.fetch(connection, charge_point=charge_point.id, most=KEPT_MAX)
    return tuple(
        Kept(at=row["received_at"], what=row["reason"], frame=redacted(row["frame"])) for row in reversed(rows)
    )


async def _settings(connection: Any, charge_point: ChargePoint) -> dict[str, str | None]:
    rows = await REGISTRY.settings_of.fetch(connection, charge_point=charge_point.id)
    return {row["name"]: row["value"] for row in rows}


async def _template(connection: Any, charge_point: ChargePoint) -> tuple[tuple[str, str, str], ...]:
    rows = await REGISTRY.template_results.fetch(connection, charge_point=charge_point.id)
    return tuple((row["name"], row["wanted"], row["status"]) for row in rows)
