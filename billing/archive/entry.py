"""Entries of the archive and the chain that they form. Pure: knows no file and no database."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Final

from billing.archive.retention import RetentionClass
from billing.bills.bill import canonical_json

START: Final = bytes(32)
"""What stands before the first entry."""


class Action(StrEnum):
    """What an entry records."""

    STORED = "stored"
    DELETED = "deleted"
    """The content of an entry is gone, since nobody had to keep it any longer; the entry stays."""
    HOLD_SET = "hold_set"
    """Nothing of it is deleted, whatever its retention says, until the hold is lifted."""
    HOLD_LIFTED = "hold_lifted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposit:
    """A content to be stored. `subject` is the number of the document, `kind` what of it: invoice_pdf, invoice_xml, mail."""

    content: bytes
    media_type: str
    kind: str
    subject: str
    day: date
    """Of the document: the end of its year begins the retention."""
    account: str | None = None
    country: str | None = None
    """Of the seller, whose law says how long it is kept."""
    retention_class: RetentionClass = RetentionClass.VOUCHER

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(self.content).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A row of the archive; what an action does not have is None."""

    id: int
    at: datetime
    action: Action
    actor: str
    reason: str | None = None
    about: int | None = None
    subject: str | None = None
    account: str | None = None
    sha256: bytes | None = None
    size_bytes: int | None = None
    media_type: str | None = None
    kind: str | None = None
    retention_class: str | None = None
    retain_until: date | None = None
    hash_prev: bytes = START
    hash: bytes = b""

    def computed_hash(self) -> bytes:
        """SHA-256 of the canonical JSON of everything but `hash` itself."""
        body = {
            "id": self.id,
            "at": self.at.astimezone(UTC).isoformat(timespec="microseconds"),
            "action": self.action.value,
            "actor": self.actor,
            "reason": self.reason,
            "about": self.about,
            "subject": self.subject,
            "account": self.account,
            "sha256": None if self.sha256 is None else self.sha256.hex(),
            "size_bytes": self.size_bytes,
            "media_type": self.media_type,
            "kind": self.kind,
            "retention_class": self.retention_class,
            "retain_until": None if self.retain_until is None else self.retain_until.isoformat(),
            "hash_prev": self.hash_prev.hex(),
        }
        return hashlib.sha256(canonical_json(body).encode()).digest()


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry of a chain. Kept elsewhere, it shows later whether the end of the chain was cut off."""

    id: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.id}:{self.hash.hex()}"


NO_ENTRY: Final = Head(0, START)


def chained(entries: Sequence[Entry], after: Head) -> list[Entry]:
    """The same entries with the numbers and hashes that they get behind the last one there is."""
    done: list[Entry] = []
    for entry in entries:
        numbered = replace(entry, id=after.id + 1, hash_prev=after.hash)
        done.append(replace(numbered, hash=numbered.computed_hash()))
        after = Head(done[-1].id, done[-1].hash)
    return done


@dataclass(frozen=True, slots=True)
class Break:
    """Where a chain is not what it was."""

    id: int
    what: str


def breaks(entries: Iterable[Entry], after: Head) -> Iterator[Break]:
    """What is wrong with entries that follow each other; one wrong entry is told once, not with all that follow."""
    for entry in entries:
        if entry.id != after.id + 1:
            yield Break(entry.id, f"entry {after.id + 1} is missing")
        elif entry.hash_prev != after.hash:
            yield Break(entry.id, "does not follow from the entry before it")
        if entry.hash != entry.computed_hash():
            yield Break(entry.id, "was changed")
        after = Head(entry.id, entry.hash)
