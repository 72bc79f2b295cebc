"""What one batch of arrivals becomes, on its way into the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from csms.intake.arrival import Arrival
from csms.intake.identity import KnownSession
from csms.protocol.vocabulary import ChargingAnswer, ChargingEvent, Decision


@dataclass(slots=True)
class Plan:
    """What one new event becomes; repeats of it within the batch share it."""

    arrival: Arrival
    event: ChargingEvent
    occurrence: int
    answer: ChargingAnswer
    session: int | None = None


@dataclass(slots=True)
class Batch:
    arrivals: Sequence[Arrival]
    answers: list[Decision] = field(default_factory=list)
    plans: dict[tuple[str, bytes, int], Plan] = field(default_factory=dict)
    plan_of: dict[int, Plan] = field(default_factory=dict)
    known: dict[tuple[str, str], KnownSession] = field(default_factory=dict)
    due: set[int] = field(default_factory=set)
    urgent: set[int] = field(default_factory=set)
    evses_touched: set[tuple[str, int]] = field(default_factory=set)
    layouts: set[bytes] = field(default_factory=set)
    """Of readings: committed before, and what this batch stores."""
