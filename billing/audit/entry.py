"""Entries of the audit log and the chain that they make. Pure: who verifies it needs nothing but the entries.

Each entry's hash is of what it says and of the hash before it: nobody changes, adds or takes away an entry without every
later hash telling. What identifies a person stands in an entry as a commitment, the hash of salt and values: the values
may be forgotten, and the chain still holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from billing.bills.bill import canonical_json

GENESIS: Final = bytes(32)
"""What the first entry has before it."""
PERSONAL: Final = "personal"
"""Under this name a commitment stands among the values of an entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What an operator did to a thing. `before` None: it was made; `after` None: it is gone.

    Values are JSON without floats. `personal` names whose data `personal_before` and `personal_after` are.
    """

    noun: str
    subject: str
    action: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    personal: str | None = None
    personal_before: Mapping[str, Any] | None = None
    personal_after: Mapping[str, Any] | None = None

    @property
    def is_one(self) -> bool:
        """Whether anything is different."""
        return self.before != self.after or self.personal_before != self.personal_after


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A change in the log. `id` counts from 1 without a gap."""

    id: int
    at: datetime
    actor: str
    reason: str
    noun: str
    subject: str
    action: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    hash_prev: bytes
    hash: bytes = b""

    @property
    def at_hashed(self) -> str:
        """The instant as its hash covers it: UTC with the offset written out, fractions only where there are any."""
        return self.at.astimezone(UTC).isoformat()

    def hash_now(self) -> bytes:
        """What its hash has to be."""
        said = {
            "id": self.id,
            "at": self.at_hashed,
            "actor": self.actor,
            "reason": self.reason,
            "noun": self.noun,
            "subject": self.subject,
            "action": self.action,
            "before": self.before,
            "after": self.after,
            "hash_prev": self.hash_prev.hex(),
        }
        return hashlib.sha256(canonical_json(said).encode()).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalValues:
    """The values behind a commitment, as long as they are kept."""

    side: str
    salt: bytes
    body: Mapping[str, Any]

    @property
    def commitment(self) -> str:
        return hashlib.sha256(self.salt + canonical_json(self.body).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Where the log does not say what it said."""

    entry: int
    problem: str


@dataclass(slots=True)
class ChainCheck:
    """Follows the log from its first entry. `findings` grows; `last` and `hash` are the end that was reached."""

    last: int = 0
    hash: bytes = GENESIS
    findings: list[Finding] = field(default_factory=list)

    def see(self, entry: Entry, personal: Iterable[PersonalValues] = ()) -> None:
        """Take the next entry."""
        if entry.id != self.last + 1:
            missing = "comes twice" if entry.id <= self.last else f"entries {self.last + 1} to {entry.id - 1} are gone"
            self._found(entry.id, missing)
        elif entry.hash_prev != self.hash:
            self._found(entry.id, "does not follow from the entry before it: one of the two was changed")
        if entry.hash != entry.hash_now():
            self._found(entry.id, "was changed: its hash is of something else")
        for values in personal:
            side = entry.before if values.side == "before" else entry.after
            if side is None or side.get(PERSONAL) != values.commitment:
                self._found(
                    entry.id, f"personal data {values.side} were changed: they are not what the entry commits to"
                )
        self.last, self.hash = entry.id, entry.hash

    def _found(self, entry: int, problem: str) -> None:
        self.findings.append(Finding(entry=entry, problem=problem))
