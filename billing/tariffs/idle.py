"""Whether the stay after the transaction's end is rated (RULES.md 18). A tariff says it beside its OCPI document."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

IDLE_MAX: Final = timedelta(days=7)
"""No bill waits longer for a vehicle that never leaves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleAfterStop:
    """The bill waits for the unplugging and rates what is proven of the stay, at most `cap` of it."""

    cap: timedelta | None = None
    """None: IDLE_MAX."""

    @classmethod
    def of(cls, *, is_on: bool, cap_s: int | None) -> IdleAfterStop | None:
        """As it is stored; None where it is off."""
        return cls(cap=None if cap_s is None else timedelta(seconds=cap_s)) if is_on else None

    @property
    def longest(self) -> timedelta:
        return IDLE_MAX if self.cap is None else min(self.cap, IDLE_MAX)

    @property
    def cap_s(self) -> int | None:
        return None if self.cap is None else int(self.cap.total_seconds())
