"""Local authorization lists: which one each charge point holds, and how it comes to hold the one it should."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from billing import Queries
from csms.charge_points.device_settings import remember, settings_of
from csms.local_lists.local_list import (
    PROFILE,
    SETTINGS,
    Difference,
    Entries,
    Held,
    Limits,
    Wanted,
    applied,
    difference,
    entries_from_json,
    entries_to_json,
    fingerprint,
    limits_of,
    reconciled,
    updates,
    wanted,
)
from csms.protocol import v16, v201
from csms.protocol.blocks.local_lists import GetLocalListVersion, ListEntry, SendLocalList
from csms.protocol.vocabulary import Command, GetSettings, Outcome, Protocol
from csms.tokens.token import Token

SQL = Queries.load(__package__)
Send = Callable[[Command], Awaitable[Outcome]]

UP_TO_DATE = "up_to_date"
DUE = "due"
BUSY = "busy"
SENDING = "sending"
NOT_SUPPORTED = "not_supported"
OFFLINE = "offline"
UNREACHED = frozenset({OFFLINE, "timeout", NOT_SUPPORTED, "invalid"})
"""Without an answer to the first question there is nobody to send a list to."""
_LIST_ENTRY = {
    Protocol.V16: v16.local_lists.list_entry,
    Protocol.V201: v201.local_lists.list_entry,
    Protocol.V21: v201.local_lists.list_entry,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Bring one charge point to the list of these tokens. `full`: by the whole list; `force`: even if it holds it."""

    charge_point: str
    protocol: Protocol
    tokens: Sequence[Token]
    at: datetime
    full: bool = False
    force: bool = False

    def wanted(self, limits: Limits) -> Wanted:
        return wanted(self.tokens, at=self.at, protocol=self.protocol, entries_max=limits.entries_max)

    def messages(self, held: Held, want: Entries, limits: Limits) -> tuple[SendLocalList, ...]:
        """What to send, nothing where it holds the list already."""
        if held.entries == want and not self.force:
            return ()
        return updates(held, want, limits=limits, size=self._size, full=self.full or held.entries == want)

    def _size(self, entry: ListEntry) -> int:
        """Bytes in a message, with the comma."""
        return len(orjson.dumps(_LIST_ENTRY[self.protocol](entry))) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of one charge point. `outcome` is its own word, or ours. `is_current`: it holds the wanted list."""

    charge_point: str
    outcome: str
    is_current: bool
    mode: str | None = None
    version: int = 0
    entries: int | None = None
    messages: int = 0
    difference: Difference = field(default_factory=lambda: Difference(added=0, changed=0, removed=0))
    left_out: int = 0
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What the books say of a charge point's list."""

    held: Held = field(default_factory=Held)
    protocol: Protocol | None = None
    acknowledged_at: datetime | None = None
    outcome: str | None = None
    detail: str | None = None
    attempted_at: datetime | None = None


# --- sending


async def bring_up_to_date(connection: Any, job: Job, send: Send) -> Sent:
    """Have the charge point hold the wanted list, and keep what it acknowledged.

    Where this is interrupted, nobody knows what it holds, and it gets the whole list the next time.
    """
    if not await SQL.lock_list.fetchval(connection, charge_point=job.charge_point):
        detail = "another command is sending it a list"
        return Sent(charge_point=job.charge_point, outcome=BUSY, is_current=False, detail=detail)
    try:
        return await _Sending(connection, job, send).run()
    finally:
        await SQL.unlock_list.execute(connection, charge_point=job.charge_point)


class _Sending:
    """One charge point, from the first question to the last answer."""

    def __init__(self, connection: Any, job: Job, send: Send) -> None:
        self._connection = connection
        self._job = job
        self._send = send
        self._held = Held()
        self._sent = Sent(charge_point=job.charge_point, outcome=SENDING, is_current=False)

    async def run(self) -> Sent:
        job = self._job
        kept = await kept_of(self._connection, job.charge_point)
        self._held = kept.held
        known = await _known_settings(self._connection, job)
        if not limits_of(job.protocol, known).is_offered:
            return await self._end(NOT_SUPPORTED, _not_offered(job.protocol))
        version = await self._send(GetLocalListVersion())
        if version.status in UNREACHED:
            return await self._end(version.status, version.detail)
        limits = limits_of(job.protocol, await self._settings(known))
        if not limits.is_offered:
            return await self._end(NOT_SUPPORTED, _not_offered(job.protocol))
        self._held = reconciled(kept.held, reported=version.data.get("version"))
        want = job.wanted(limits)
        messages = job.messages(self._held, want.entries, limits)
        self._sent = replace(
            self._sent,
            mode=mode_of(messages),
            difference=difference(self._held.entries or {}, want.entries),
            left_out=want.left_out,
        )
        if not messages:
            return await self._end(UP_TO_DATE, None, is_current=True)
        return await self._deliver(messages, want.entries, limits)

    async def _deliver(self, messages: Sequence[SendLocalList], want: Entries, limits: Limits) -> Sent:
        refused = await self._send_all(messages)
        if refused is not None and _whole_list_may_help(messages, refused[1]):
            version = await self._send(GetLocalListVersion())
            newest = max(refused[0].version, version.data.get("version", 0))
            messages = replace(self._job, full=True, force=True).messages(Held(version=newest), want, limits)
            self._sent = replace(self._sent, mode="full", detail=f"{refused[1].status}, then the whole list")
            refused = await self._send_all(messages)
        if refused is None:
            return await self._end("Accepted", self._sent.detail, is_current=True)
        outcome = refused[1]
        hint = _hint(self._job, limits) or _shortfall(self._held, want)
        return await self._end(outcome.status, outcome.detail or hint)

    async def _send_all(self, messages: Sequence[SendLocalList]) -> tuple[SendLocalList, Outcome] | None:
        """Send one after the other; the first that was not taken, and why.

        A change that failed, or came with a version that is not taken, leaves the list as it was (OCPP 1.6 5.15), and
        the version that the charge point reports the next time proves it. Else nobody knows what it holds then.
        """
        held = self._held
        self._held = Held(version=messages[-1].version)
        await self._store(SENDING, None)
        for message in messages:
            outcome = await self._send(message)
            self._sent = replace(self._sent, messages=self._sent.messages + 1)
            if not outcome.accepted:
                is_as_before = not message.full and outcome.status in {"Failed", "VersionMismatch"}
                self._held = held if is_as_before else Held(version=message.version)
                return message, outcome
            held = Held(version=message.version, entries=applied(held.entries or {}, message))
        self._held = held
        return None

    async def _settings(self, known: Mapping[str, str | None]) -> Mapping[str, str | None]:
        """The settings that say what it takes; those that are not known are asked for, and kept."""
        names = SETTINGS[self._job.protocol]
        if {name.casefold() for name in names} <= known.keys():
            return known
        told = settings_of(await self._send(GetSettings(names=names)))
        await remember(self._connection, self._job.charge_point, told)
        return {**known, **{name.casefold(): value for name, (value, _) in told.items()}}

    async def _end(self, outcome: str, detail: str | None, *, is_current: bool = False) -> Sent:
        await self._store(outcome, detail)
        entries = None if self._held.entries is None else len(self._held.entries)
        return replace(
            self._sent, outcome=outcome, detail=detail, is_current=is_current, version=self._held.version,
            entries=entries,
        )  # fmt: skip

    async def _store(self, outcome: str, detail: str | None) -> None:
        held = self._held
        hash_ = None if held.entries is None else fingerprint(held.entries)
        async with self._connection.transaction():
            if held.entries is not None:
                await SQL.store_token_list.execute(self._connection, hash=hash_, entries=entries_to_json(held.entries))
            await SQL.store_held_list.execute(
                self._connection, charge_point=self._job.charge_point, protocol=str(self._job.protocol),
                version=held.version, hash=hash_, outcome=outcome, detail=detail,
            )  # fmt: skip


def _whole_list_may_help(messages: Sequence[SendLocalList], outcome: Outcome) -> bool:
    """Differences that failed, and versions that it does not take (OCPP 1.6 5.15): once more, whole and newer.

    Not where a part of a whole list failed: most likely there is no room for more.
    """
    return outcome.status == "VersionMismatch" or (outcome.status == "Failed" and not messages[0].full)


def _not_offered(protocol: Protocol) -> str:
    if protocol is Protocol.V16:
        return f"its SupportedFeatureProfiles do not name {PROFILE}"
    return "its LocalAuthListCtrlr.Available is false"


def _hint(job: Job, limits: Limits) -> str | None:
    if limits.is_enabled:
        return None
    name = SETTINGS[job.protocol][1]
    return f"its local list is switched off: csms cp config set {job.charge_point} {name} true"


def _shortfall(held: Held, want: Entries) -> str | None:
    """Where it took the beginning of the list, and then no more."""
    if held.entries is None or not 0 < len(held.entries) < len(want):
        return None
    return f"it holds {len(held.entries)} of {len(want)} tokens; it may have no room for more"


def mode_of(messages: Sequence[SendLocalList]) -> str | None:
    return None if not messages else "full" if messages[0].full else "update"


# --- looking


async def foresee(connection: Any, job: Job) -> Sent:
    """What would be sent, as far as the books know, without asking the charge point."""
    kept = await kept_of(connection, job.charge_point)
    limits = limits_of(job.protocol, await _known_settings(connection, job, even_old=True))
    want = job.wanted(limits)
    messages = job.messages(kept.held, want.entries, limits)
    is_current = kept.held.entries == want.entries
    outcome = (DUE if messages else UP_TO_DATE) if limits.is_offered else NOT_SUPPORTED
    return Sent(
        charge_point=job.charge_point,
        outcome=outcome,
        is_current=is_current,
        mode=mode_of(messages),
        version=messages[-1].version if messages else kept.held.version,
        entries=len(want.entries),
        messages=len(messages),
        difference=difference(kept.held.entries or {}, want.entries),
        left_out=want.left_out,
        detail=None if limits.is_offered else _not_offered(job.protocol),
    )


async def kept_of(connection: Any, charge_point: str) -> Kept:
    """What the books say of one charge point's list."""
    row = await SQL.held_lists.fetchrow(connection, charge_point=charge_point)
    if row is None:
        return Kept()
    body = None if row["hash"] is None else await SQL.token_list.fetchval(connection, hash=row["hash"])
    return Kept(
        held=Held(version=row["version"], entries=None if body is None else entries_from_json(body)),
        protocol=Protocol(row["protocol"]),
        acknowledged_at=row["acknowledged_at"],
        outcome=row["outcome"],
        detail=row["detail"],
        attempted_at=row["attempted_at"],
    )


async def overview(
    connection: Any, charge_points: Sequence[Mapping[str, Any]], tokens: Sequence[Token]
) -> list[dict[str, Any]]:
    """Each charge point's list by the books: version, whether it is the wanted one, and the last outcome."""
    now = datetime.now(UTC)
    held = {row["charge_point"]: row for row in await SQL.held_lists.fetch(connection, charge_point=None)}
    settings = await _settings_of_all(connection)
    hashes: dict[tuple[Protocol, int | None], tuple[bytes, int]] = {}
    rows = []
    for listed in charge_points:
        row = held.get(listed["id"])
        protocol = protocol_of(listed, None if row is None else Protocol(row["protocol"]))
        room = limits_of(protocol, settings.get(listed["id"], {})).entries_max
        if (protocol, room) not in hashes:
            want = wanted(tokens, at=now, protocol=protocol, entries_max=room)
            hashes[protocol, room] = fingerprint(want.entries), want.left_out
        hash_, left_out = hashes[protocol, room]
        rows.append(
            {
                "id": listed["id"],
                "site": listed["site"],
                "online": listed["online"],
                "version": None if row is None else row["version"],
                "up_to_date": row is not None and row["hash"] == hash_,
                "left_out": left_out,
                "acknowledged_at": None if row is None else row["acknowledged_at"],
                "outcome": None if row is None else row["outcome"],
                "detail": None if row is None else row["detail"],
                "attempted_at": None if row is None else row["attempted_at"],
            }
        )
    return rows


def protocol_of(listed: Mapping[str, Any], last: Protocol | None) -> Protocol:
    """What it speaks or last spoke; where nobody knows, the version that leaves no token out."""
    return Protocol(listed["protocol"]) if listed["protocol"] is not None else last or Protocol.V201


async def _known_settings(connection: Any, job: Job, *, even_old: bool = False) -> dict[str, str | None]:
    names = [name.lower() for name in SETTINGS[job.protocol]]
    rows = await SQL.known_settings.fetch(connection, charge_point=job.charge_point, names=names, even_old=even_old)
    return {row["name"].casefold(): row["value"] for row in rows}


async def _settings_of_all(connection: Any) -> dict[str, dict[str, str | None]]:
    names = [name.lower() for each in SETTINGS.values() for name in each]
    found: dict[str, dict[str, str | None]] = {}
    for row in await SQL.known_settings.fetch(connection, charge_point=None, names=names, even_old=True):
        found.setdefault(row["charge_point"], {})[row["name"]] = row["value"]
    return found
