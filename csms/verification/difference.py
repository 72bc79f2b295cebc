"""What a stored session says otherwise than its facts do. Pure; knows no database."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import asyncpg

from csms.sessions.store import Projection

COMPARED = (
    "evse", "connector", "token", "started_at", "ended_at", "released_at", "energy_wh", "register_begin_wh",
    "register_end_wh", "energy_source", "dropped", "holds", "flags", "last_fact_at", "inputs_hash",
)  # fmt: skip
"""Columns of a session's row. `complete_at` is none of them: it follows the sockets and the waits of the installation, and
billing works it out anew each time it looks. Nor are the words of findings, which name those waits.
"""
_MILLI = Decimal("0.001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as it must be; `session` None: it is about the whole database, `bill` None: about no bill."""

    what: str
    stored: object
    recomputed: object
    next_step: str
    session: int | None = None
    bill: int | None = None

    def to_dict(self) -> dict[str, object]:
        """As it is printed."""
        return {
            "session": self.session,
            "bill": self.bill,
            "what": self.what,
            "stored": self.stored,
            "recomputed": self.recomputed,
            "next": self.next_step,
        }


def differing(row: asyncpg.Record, projection: Projection) -> list[tuple[str, object, object]]:
    """Name, stored and recomputed value of each column that differs."""
    pairs = ((name, _plain(row[name]), _plain(getattr(projection, name))) for name in COMPARED)
    return [(name, stored, recomputed) for name, stored, recomputed in pairs if stored != recomputed]


def _plain(value: Any) -> object:
    """As the column holds it: energies to a thousandth, names in order."""
    match value:
        case Decimal():
            return value.quantize(_MILLI, rounding=ROUND_HALF_UP)
        case list() | frozenset() | set():
            return sorted(value)
        case bytes():
            return value.hex()
        case _:
            return value
