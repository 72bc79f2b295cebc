"""Local authorization lists: which tokens stand in one, how one becomes another, in which messages. Pure.

A list is full or differential on the wire. What does not fit one message goes in several: a whole list begins full and
goes on differential, and each message has a version of its own, since a charge point refuses a differential one that is
no newer than what it holds (VersionMismatch; OCPP 1.6 5.15, 2.0.1 D01).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from csms.protocol.blocks.local_lists import ListEntry, SendLocalList
from csms.protocol.vocabulary import Protocol, TokenStatus, TokenVerdict
from csms.tokens.token import Token, verdict

VERSION_MAX = 2**31 - 1  # an OCPP integer
ITEMS_MAX = 50
"""Tokens a message where the charge point does not say how many it takes."""
FRAME_BYTES = 200
"""Room for what a message has around its tokens: type, id, action, version, kind and brackets are 140 bytes."""
TOKEN_LENGTH_MAX = {Protocol.V16: 20, Protocol.V201: 36, Protocol.V21: 255}
"""A longer token cannot be presented in that version, and has no place in its lists."""

Entries = Mapping[str, TokenVerdict]
"""A list: token in capitals -> what it may do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a charge point takes. None: it does not say. `is_offered` False: it says that it keeps no list."""

    entries_max: int | None = None
    items_max: int = ITEMS_MAX
    bytes_max: int | None = None
    is_offered: bool = True
    is_enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The list that a charge point should hold; `left_out` tokens did not fit."""

    entries: Entries
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The list that a charge point holds. `entries` None: nobody knows. The next version is above `version`."""

    version: int = 0
    entries: Entries | None = None


# --- which tokens


_RANK = {TokenStatus.ACCEPTED: 0, TokenStatus.BLOCKED: 1}


def wanted(tokens: Iterable[Token], *, at: datetime, protocol: Protocol, entries_max: int | None) -> Wanted:
    """What is known of every token, for a charge point with room for `entries_max`.

    Blocked and expired tokens stand in it as well: a charge point may let unknown ones charge while it is offline. Where
    there is no room for all, those that may charge go first, then the blocked, the newest decision first.
    """
    known = [(token, verdict(token, at=at)) for token in tokens if len(token.uid) <= TOKEN_LENGTH_MAX[protocol]]
    known.sort(key=lambda each: (_RANK.get(each[1].status, 2), -each[0].at.timestamp(), each[0].uid))
    fitting = known if entries_max is None else known[:entries_max]
    return Wanted(entries={token.uid: said for token, said in fitting}, left_out=len(known) - len(fitting))


def fingerprint(entries: Entries) -> bytes:
    """The same for the same list, in whatever order."""
    return hashlib.sha256(json.dumps(entries_to_json(entries), sort_keys=True).encode()).digest()


def entries_to_json(entries: Entries) -> dict[str, dict[str, str | None]]:
    return {
        token: {
            "status": said.status.value,
            "group": said.group,
            "expires_at": None if said.expires_at is None else said.expires_at.isoformat(),
        }
        for token, said in entries.items()
    }


def entries_from_json(body: Mapping[str, Mapping[str, Any]]) -> Entries:
    return {
        token: TokenVerdict(
            status=TokenStatus(said["status"]),
            group=said["group"],
            expires_at=None if said["expires_at"] is None else datetime.fromisoformat(said["expires_at"]),
        )
        for token, said in body.items()
    }


# --- what the charge point says


SETTINGS = {
    Protocol.V16: (
        "SupportedFeatureProfiles", "LocalAuthListEnabled", "LocalAuthListMaxLength", "SendLocalListMaxLength",
    ),
    Protocol.V201: (
        "LocalAuthListCtrlr.Available", "LocalAuthListCtrlr.Enabled", "LocalAuthListCtrlr.ItemsPerMessage",
        "LocalAuthListCtrlr.BytesPerMessage",
    ),
}  # fmt: skip
SETTINGS[Protocol.V21] = SETTINGS[Protocol.V201]
PROFILE = "LocalAuthListManagement"


def limits_of(protocol: Protocol, settings: Mapping[str, str | None]) -> Limits:
    """What a charge point takes, out of its settings; what it does not say, or not understandably, is no limit."""
    said = {name.casefold(): value or "" for name, value in settings.items()}
    offered, enabled, *numbers = (said.get(name.casefold(), "").strip() for name in SETTINGS[protocol])
    switched_off = enabled.casefold() == "false"
    if protocol is Protocol.V16:
        profiles = {each.strip().casefold() for each in offered.split(",")}
        entries_max, items_max = map(_positive, numbers)
        return Limits(
            entries_max=entries_max, items_max=items_max or ITEMS_MAX,
            is_offered=not offered or PROFILE.casefold() in profiles, is_enabled=not switched_off,
        )  # fmt: skip
    items_max, bytes_max = map(_positive, numbers)
    return Limits(
        items_max=items_max or ITEMS_MAX, bytes_max=bytes_max,
        is_offered=offered.casefold() != "false", is_enabled=not switched_off,
    )  # fmt: skip


def _positive(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and 0 < int(text) <= VERSION_MAX else None


def reconciled(believed: Held, *, reported: int | None) -> Held:
    """What it holds, given what it was sent and which version it says that it has (None: it did not say).

    Version 0 is no list, whoever took it away. Any other than the one that was sent is a list that nobody knows.
    """
    if reported is None:
        return Held(version=believed.version)
    if reported == 0:
        return Held(version=believed.version, entries={})
    if reported == believed.version:
        return believed
    return Held(version=max(believed.version, reported))


# --- how one list becomes another


def changes(held: Entries, want: Entries) -> tuple[ListEntry, ...]:
    """What to tell a charge point that holds one list to make it hold the other.

    Tokens leave before others come, so that no list on the way is longer than the longer of both.
    """
    gone = [ListEntry(token=token) for token in sorted(held.keys() - want.keys())]
    new = [ListEntry(token=token, verdict=said) for token, said in want.items() if held.get(token) != said]
    return (*gone, *new)


def updates(
    held: Held, want: Entries, *, limits: Limits, size: Callable[[ListEntry], int], full: bool = False
) -> tuple[SendLocalList, ...]:
    """The messages that bring a charge point to the wanted list, none where it holds that already.

    The whole list is sent where nobody knows what it holds, and where the differences would be no shorter. Tokens come in
    the order of the wanted list, so that a charge point that runs out of room has taken the first of them.
    """
    if held.entries is not None and not full:
        different = changes(held.entries, want)
        if not different:
            return ()
        parts = list(_split(different, limits, size))
        if len(different) < max(len(want), 1) and held.version + len(parts) <= VERSION_MAX:
            return _numbered(parts, after=held.version, full=False)
    whole = tuple(ListEntry(token=token, verdict=said) for token, said in want.items())
    parts = list(_split(whole, limits, size)) or [()]
    fits = held.version + len(parts) <= VERSION_MAX
    return _numbered(parts, after=held.version if fits else 0, full=True)


def _numbered(parts: Sequence[tuple[ListEntry, ...]], *, after: int, full: bool) -> tuple[SendLocalList, ...]:
    return tuple(
        SendLocalList(version=after + n, entries=part, full=full and n == 1) for n, part in enumerate(parts, start=1)
    )


def _split(
    entries: Sequence[ListEntry], limits: Limits, size: Callable[[ListEntry], int]
) -> Iterator[tuple[ListEntry, ...]]:
    """Parts that each fit a message. A token that fits none goes alone: whether it is taken is the charge point's word."""
    part: list[ListEntry] = []
    used = FRAME_BYTES
    for entry in entries:
        cost = size(entry)
        is_too_big = limits.bytes_max is not None and used + cost > limits.bytes_max
        if part and (is_too_big or len(part) >= limits.items_max):
            yield tuple(part)
            part, used = [], FRAME_BYTES
        part.append(entry)
        used += cost
    if part:
        yield tuple(part)


def applied(entries: Entries, update: SendLocalList) -> Entries:
    """The list once a charge point has taken the message."""
    result = {} if update.full else dict(entries)
    for entry in update.entries:
        if entry.verdict is None:
            result.pop(entry.token, None)
        else:
            result[entry.token] = entry.verdict
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How many tokens a list has more, otherwise and less than another one."""

    added: int
    changed: int
    removed: int


def difference(held: Entries, want: Entries) -> Difference:
    both = held.keys() & want.keys()
    return Difference(
        added=len(want) - len(both),
        changed=sum(held[token] != want[token] for token in both),
        removed=len(held) - len(both),
    )
