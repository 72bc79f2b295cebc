"""Publishing: the next version of a tariff for an instant, with what differs, whom it reaches and who keeps the old one.

`service.create` stores a version and says no more; it is what scripts repeat. Publishing is an operator's act and leaves
a trail. Neither touches a session that has its tariff (RULES.md 15).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from billing.errors import NotFound, Refused
from billing.sql import Connection
from billing.tariffs import service, store
from billing.tariffs.assignment import Assignment, TariffVersion, newest_in_force
from billing.tariffs.difference import Change, differences
from billing.tariffs.idle import IdleAfterStop
from billing.tariffs.store import SQL
from billing.tariffs.tariff import to_ocpi

KEEP: Final = "keep"
IdleChoice = IdleAfterStop | Literal["keep"] | None
"""What is said of the stay after the stop; KEEP: what the newest version says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Who publishes, from when on, and why where that is past. `valid_from` None: this minute."""

    actor: str
    valid_from: datetime | None = None
    backdated: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """So many sessions without a final bill stay with this version of the tariff."""

    version: int
    sessions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The version, and what it means. `existed`: the newest version says the same, nothing was stored.

    `until` is from when on another version of the tariff holds, one that was stored before for a later time.
    """

    id: str
    version: int
    valid_from: datetime
    existed: bool
    changes: tuple[Change, ...]
    reaches: tuple[Assignment, ...]
    kept: tuple[Kept, ...]
    until: datetime | None


async def publish(
    connection: Connection, document: str | bytes, act: Act, *, now: datetime, idle: IdleChoice = KEEP
) -> Published:
    """Store the document as the next version of its tariff. In the caller's transaction, who commits it or does not.

    Raises:
        Refused: unusable document, another currency, a time that is past without a word why.
        NotFound: there is no such tariff yet.
    """
    tariff = service.read_tariff(document)
    begin = act.valid_from or service.this_minute(now)
    reason = _require_allowed(act, begin, now)
    await SQL.lock_for_editing.execute(connection, key=store.LOCK_KEY)
    newest = await _newest(connection, tariff.id)
    said = newest.idle if idle == KEEP else idle
    made = await service.create(connection, document, now=now, valid_from=begin, idle=said)
    if not made.existed:
        await SQL.insert_publication.execute(
            connection, tariff=made.id, version=made.version, valid_from=begin, reason=reason, actor=act.actor, at=now
        )
    after = await service.show(connection, made.id, version=made.version)
    return Published(
        id=made.id,
        version=made.version,
        valid_from=made.valid_from,
        existed=made.existed,
        changes=tuple(() if made.existed else _changes(newest, after)),
        reaches=tuple(reached(await store.all_assignments(connection), made.id, since=made.valid_from)),
        kept=tuple(
            Kept(version=row["tariff_version"], sessions=row["sessions"])
            for row in await SQL.open_sessions_by_version.fetch(connection, tariff=made.id)
            if row["tariff_version"] != made.version
        ),
        until=await SQL.next_version_from.fetchval(connection, id=made.id, version=made.version, at=made.valid_from),
    )


def _require_allowed(act: Act, begin: datetime, now: datetime) -> str | None:
    """Why the version may begin then; None where that needs no reason."""
    if begin >= service.this_minute(now):
        return None
    reason = (act.reason or "").strip()
    if not act.backdated:
        raise Refused(
            f"{begin.isoformat()} is past: a price must be known before it holds",
            "leave --from out for now, or say why: --backdated --reason TEXT",
        )
    if not reason:
        raise Refused("a tariff is published for a time that is past for a reason", "say why: --reason TEXT")
    return reason


async def _newest(connection: Connection, tariff: str) -> TariffVersion:
    try:
        return await service.show(connection, tariff)
    except NotFound as missing:
        raise NotFound(missing.message, "a first version is stored with csms tariff create") from missing


def _changes(before: TariffVersion, after: TariffVersion) -> list[Change]:
    return differences(_told(before), _told(after))


def _told(version: TariffVersion) -> dict[str, Any]:
    """The OCPI document, and what we say beside it."""
    idle = version.idle
    return {
        **to_ocpi(version.tariff),
        "idle_after_stop": idle is not None,
        "idle_cap_s": None if idle is None else idle.cap_s,
    }


def reached(assignments: Iterable[Assignment], tariff: str, *, since: datetime) -> list[Assignment]:
    """The assignments of a tariff that price anything from `since` on, in the order in which they were entered."""
    slots: dict[object, list[Assignment]] = {}
    for each in assignments:
        slots.setdefault(each.slot, []).append(each)
    found: list[Assignment] = []
    for slot in slots.values():
        then = newest_in_force(each for each in slot if each.valid_from <= since)
        later = [each for each in slot if each.valid_from > since]
        # Of two entries for the same instant the newer one counts.
        counting = {
            each.valid_from: newest_in_force(x for x in later if x.valid_from == each.valid_from) for each in later
        }
        found += [each for each in (then, *counting.values()) if each is not None and each.tariff == tariff]
    return sorted(found, key=lambda each: each.id)
