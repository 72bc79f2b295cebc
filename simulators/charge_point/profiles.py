"""Charging profiles as a charge point keeps them, and what they add up to. Pure: time is an argument, no OCPP version speaks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Any

VOLTAGE_V = Decimal(230)
PHASES = 3
HARDWARE_A = Decimal(32)
"""What an EVSE can carry on each phase, whatever profiles say."""
TENTH = Decimal("0.1")
REPEATS = {"Daily": timedelta(days=1), "Weekly": timedelta(days=7)}
MAX, DEFAULT, TX, EXTERNAL = "max", "default", "tx", "external"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """From ``start_s`` seconds on, at most ``limit`` on so many phases."""

    start_s: int
    limit: Decimal
    phases: int = PHASES


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """``start`` None: relative to the start of charging. ``payload`` is the profile as it came, for reports."""

    id: int
    evse: int
    purpose: str
    stack_level: int
    unit: str
    steps: tuple[Step, ...]
    start: datetime | None = None
    repeats: timedelta | None = None
    duration_s: int | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    transaction: str | None = None
    source: str = "CSO"
    payload: dict[str, Any] = field(default_factory=dict, compare=False)

    def begun(self, at: datetime, charging_since: datetime) -> datetime | None:
        """When the schedule that holds at an instant began; None where none does."""
        if (self.valid_from is not None and at < self.valid_from) or (
            self.valid_to is not None and at >= self.valid_to
        ):
            return None
        begin = charging_since if self.start is None else self.start
        if at < begin:
            return None
        if self.repeats is not None:
            begin += (at - begin) // self.repeats * self.repeats
        if self.duration_s is not None and at >= begin + timedelta(seconds=self.duration_s):
            return None
        return begin

    def step(self, at: datetime, charging_since: datetime) -> Step | None:
        """What holds at an instant."""
        begin = self.begun(at, charging_since)
        if begin is None:
            return None
        passed = [step for step in self.steps if begin + timedelta(seconds=step.start_s) <= at]
        return passed[-1] if passed else None

    def changes(self, after: datetime, before: datetime, charging_since: datetime) -> Iterator[datetime]:
        """Instants between two others at which something else may hold."""
        begin = charging_since if self.start is None else self.start
        marks = [timedelta(), *(timedelta(seconds=step.start_s) for step in self.steps)]
        if self.duration_s is not None:
            marks.append(timedelta(seconds=self.duration_s))
        if self.repeats is not None:
            begin += max((after - begin) // self.repeats, 0) * self.repeats
        while begin < before:
            yield from (begin + mark for mark in marks if after < begin + mark < before)
            if self.repeats is None:
                break
            begin += self.repeats
        for edge in (self.valid_from, self.valid_to):
            if edge is not None and after < edge < before:
                yield edge


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What may be drawn at an instant."""

    power_w: Decimal
    phases: int

    def limit(self, unit: str) -> Decimal:
        """In A of each phase or W of all, rounded down to what OCPP can say."""
        rate = self.power_w if unit == "W" else self.power_w / (VOLTAGE_V * self.phases)
        return rate.quantize(TENTH, rounding=ROUND_DOWN)


HARDWARE = Allowed(power_w=HARDWARE_A * VOLTAGE_V * PHASES, phases=PHASES)


@dataclass(slots=True)
class ProfileStore:
    """Profiles by id; one more of the same purpose, level, EVSE and transaction takes the place of the older."""

    held: list[Profile] = field(default_factory=list)

    def put(self, profile: Profile) -> None:
        """Keep a profile."""
        self.held = [each for each in self.held if each.id != profile.id and _rank(each) != _rank(profile)]
        self.held.append(profile)

    def clear(
        self,
        *,
        id: int | None = None,  # noqa: A002 - the field's name on the wire
        evse: int | None = None,
        purpose: str | None = None,
        stack_level: int | None = None,
    ) -> bool:
        """Drop what matches everything that is said; whether anything did. What others impose stays."""
        gone = [
            each
            for each in self.held
            if each.purpose != EXTERNAL
            and id in {None, each.id}
            and evse in {None, each.evse}
            and purpose in {None, each.purpose}
            and stack_level in {None, each.stack_level}
        ]
        self.held = [each for each in self.held if each not in gone]
        return bool(gone)

    def lift(self, source: str, evse: int) -> None:
        """Somebody else's limit is gone."""
        self.held = [each for each in self.held if (each.purpose, each.source, each.evse) != (EXTERNAL, source, evse)]

    def ended(self, transaction: object) -> None:
        """Profiles of a transaction go with it."""
        self.held = [each for each in self.held if each.purpose != TX or each.transaction != str(transaction)]

    def of(self, evse: int, transaction: object = None) -> list[Profile]:
        """Those that count for an EVSE and its transaction; EVSE 0 is the connection of the whole charge point."""
        return [
            each
            for each in self.held
            if each.evse in {0, evse}
            and (each.purpose != TX or (transaction is not None and each.transaction == str(transaction)))
            and (evse != 0 or each.purpose in {MAX, EXTERNAL})
        ]


def _rank(profile: Profile) -> tuple[object, ...]:
    return profile.purpose, profile.stack_level, profile.evse, profile.transaction, profile.source


def allowed(profiles: Iterable[Profile], at: datetime, charging_since: datetime) -> Allowed:
    """The lowest of what each purpose allows. Within one the higher level leads, an EVSE's own default before one for all;
    a profile for the transaction stands in for the defaults wherever it says something.
    """
    leading: dict[str, tuple[tuple[bool, int], Allowed]] = {}
    for profile in profiles:
        step = profile.step(at, charging_since)
        if step is None:
            continue
        phases = step.phases
        power_w = step.limit if profile.unit == "W" else step.limit * VOLTAGE_V * phases
        rank = (profile.evse != 0, profile.stack_level)
        group = profile.purpose if profile.purpose != EXTERNAL else f"{EXTERNAL} {profile.source} {profile.evse}"
        if group not in leading or rank > leading[group][0]:
            leading[group] = rank, Allowed(power_w=power_w, phases=phases)
    if TX in leading:
        leading.pop(DEFAULT, None)
    return min([HARDWARE, *(each for _, each in leading.values())], key=lambda each: (each.power_w, each.phases))


def composite(
    profiles: list[Profile], *, at: datetime, duration_s: int, unit: str, charging_since: datetime
) -> list[Step]:
    """What may be drawn in each part of the time from ``at`` on, in whole seconds; neighbours differ."""
    end = at + timedelta(seconds=duration_s)
    changes = {change for profile in profiles for change in profile.changes(at, end, charging_since)}
    seconds = sorted({0, *(-(-(change - at) // timedelta(seconds=1)) for change in changes)})
    steps: list[Step] = []
    for second in seconds:
        if second >= duration_s:
            break
        now = allowed(profiles, at + timedelta(seconds=second), charging_since)
        step = Step(start_s=second, limit=now.limit(unit), phases=now.phases)
        if not steps or (steps[-1].limit, steps[-1].phases) != (step.limit, step.phases):
            steps.append(step)
    return steps
