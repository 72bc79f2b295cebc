"""What an EVSE may draw, by what its charge point was told and what it answered: never less than it might. Pure.

A limit that was sent holds from its acceptance on. Until then, and when the answer is a refusal, or none, nobody knows
whether the old one or the new one holds: the larger counts, until a later one is accepted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

BACKOFF_MAX = timedelta(hours=1)
DOUBLINGS_MAX = 6
UNABLE = frozenset({"not_supported", "NotSupported"})
"""Outcomes that say that there is no smart charging, rather than that this profile is not liked."""


OFFLINE = "offline"
"""The outcome of what was certainly not sent."""


class Slot(StrEnum):
    """BASE holds as long as it is not replaced, also for vehicles of which we have not heard; TX goes with its session."""

    BASE = "base"
    TX = "tx"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A limit on its way. `amps` None takes the profile off. `accepted` None: there is no answer (yet)."""

    id: int
    slot: Slot
    amps: int | None
    sent_at: datetime
    session: int | None = None
    answered_at: datetime | None = None
    accepted: bool | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One slot of an EVSE: the newest limit that was accepted, and all that may have taken its place since."""

    accepted: Step | None = None
    since: tuple[Step, ...] = ()

    def at_most_a(self, without_a: int) -> int:
        """The highest limit that may hold; `without_a` is what flows where the slot holds no profile."""
        held = [self.accepted, *self.since] if self.accepted is not None else [None, *self.since]
        return max(without_a if each is None or each.amps is None else each.amps for each in held)

    @property
    def amps(self) -> int | None:
        """The limit that was accepted last."""
        return None if self.accepted is None else self.accepted.amps

    def is_settled(self, amps: int | None) -> bool:
        """Whether exactly this limit holds, beyond doubt."""
        return self.accepted is not None and not self.since and self.accepted.amps == amps

    def in_flight(self, now: datetime, patience: timedelta) -> bool:
        """Whether an answer may still come; that of a node that died never does."""
        return any(each.answered_at is None and each.sent_at > now - patience for each in self.since)

    def is_doubtful_after(self, boot: datetime | None, now: datetime, patience: timedelta) -> bool:
        """Whether what was accepted before a boot may be gone: it was not accepted again when it was told after that."""
        if boot is None or self.accepted is None or self.accepted.sent_at >= boot:
            return False
        return any(
            each.sent_at >= boot and each.status != OFFLINE
            for each in self.since
            if each.accepted is False or (each.answered_at is None and each.sent_at <= now - patience)
        )

    def retry_at(self, pace: timedelta) -> datetime | None:
        """When to try again after what failed, each time a bit later; None: nothing failed."""
        failed = [each for each in self.since if not each.accepted]
        if not failed:
            return None
        last = failed[-1]
        pause = pace * (1 << min(len(failed) - 1, DOUBLINGS_MAX))
        return (last.answered_at or last.sent_at) + min(pause, BACKOFF_MAX)


def told(steps: Iterable[Step]) -> Told:
    """The steps of one slot, in the order in which they were sent.

    One that was accepted only after a newer one had gone out may have taken effect after it: both count.
    """
    ordered = sorted(steps, key=lambda each: each.id)
    newest = next((each for each in reversed(ordered) if each.accepted), None)
    if newest is None:
        return Told(since=tuple(ordered))
    late = [
        each
        for each in ordered
        if each.id < newest.id and each.accepted and each.answered_at is not None and each.answered_at > newest.sent_at
    ]
    return Told(accepted=newest, since=(*late, *(each for each in ordered if each.id > newest.id)))


class Reach(StrEnum):
    """Whether an EVSE can be told something now."""

    LIVE = "live"
    BUSY = "busy"
    SILENT = "silent"
    REFUSING = "refusing"
    UNABLE = "unable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An EVSE as the connection sees it. `confirm`: what it holds may have got lost (a boot, somebody's change)."""

    charge_point: str
    evse: int
    lines: frozenset[int]
    amps_max: int
    reach: Reach
    session: int | None = None
    base: Told = field(default_factory=Told)
    tx: Told = field(default_factory=Told)
    keeps_tx: bool = True
    """Whether running sessions are told by a profile of their own (`Via.TX`)."""
    confirm_base: bool = False
    confirm_tx: bool = False
    lost: bool = False
    """Somebody took a profile of ours off, or put another in its place: what holds is not ours."""
    others: tuple[Told, ...] = ()
    """What was told for other sessions there that have not ended, as far as is known."""
    measured_a: int = 0
    """What flows by the newest reading, where that is no reading of before the limit, and the limit may not hold."""
    told_at: datetime | None = None
    """When anything was sent to its charge point last."""

    @property
    def key(self) -> tuple[str, int]:
        return self.charge_point, self.evse

    @property
    def base_a(self) -> int:
        """What a vehicle that we have not heard of may draw."""
        return self.amps_max if self.lost else min(self.amps_max, self.base.at_most_a(self.amps_max))

    @property
    def counted_a(self) -> int:
        """What counts against the connection."""
        return max(self.base_a, self._tx_a, self.measured_a)

    @property
    def _tx_a(self) -> int:
        slots = self.others if self.session is None else (self.tx, *self.others)
        return max((min(self.amps_max, each.at_most_a(0)) for each in slots), default=0)

    @property
    def allowed_a(self) -> int:
        """What its vehicle has been granted for certain; what may flow beyond that is `counted_a`."""
        held = self.tx.amps if self.session is not None and self.tx.accepted is not None else self.base.amps
        return self.amps_max if held is None else min(held, self.amps_max)

    def counted_if_sent_a(self, amps: int) -> int:
        """What would count from the moment on at which this limit is sent."""
        return max(self.counted_a, min(amps, self.amps_max))
