"""Which tariff a session has (RULES.md 15): rules over assignments and versions. Knows no database and no clock.

The assignments and versions that were known at the session's own instant decide, so that whatever is entered later
for an earlier time changes nothing, however late the session itself arrives. Only where nothing known then priced the
session does what was entered since count: that is how a session held `no_tariff` finds its tariff.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from billing.tariffs.idle import IdleAfterStop
from billing.tariffs.tariff import Tariff


class Scope(StrEnum):
    """How much an assignment covers, narrowest first: that one wins."""

    CHARGE_POINT = "charge_point"
    SITE = "site"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """From `valid_from` on, `target` charges by `tariff`. `target` is None for the default."""

    id: int
    tariff: str
    scope: Scope
    target: str | None
    valid_from: datetime
    entered_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TariffVersion:
    """A stored version. `tariff.version` is set; `valid_from` is ours, beside OCPI's own validity inside the tariff.

    `idle`: the stay after the transaction's end is rated; None leaves it to the charge point.
    """

    tariff: Tariff
    valid_from: datetime
    entered_at: datetime
    idle: IdleAfterStop | None = None

    @property
    def number(self) -> int:
        assert self.tariff.version is not None, "a stored tariff has a version"
        return self.tariff.version


Versions = Mapping[str, Sequence[TariffVersion]]
Assignments = Mapping[tuple[Scope, str | None], Sequence[Assignment]]
"""By scope and target."""


def by_target(assignments: Iterable[Assignment]) -> Assignments:
    """Assignments in the order in which `resolve` looks for them."""
    grouped: dict[tuple[Scope, str | None], list[Assignment]] = {}
    for each in assignments:
        grouped.setdefault((each.scope, each.target), []).append(each)
    return grouped


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where and when a session is priced: the instant at which token and EVSE were first both known."""

    charge_point: str
    site: str
    currency: str
    at: datetime

    def target_of(self, scope: Scope) -> str | None:
        return {Scope.CHARGE_POINT: self.charge_point, Scope.SITE: self.site, Scope.DEFAULT: None}[scope]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The session's tariff, and why it is this one. `afterwards`: it was entered after the session's instant."""

    tariff: Tariff
    assignment: Assignment
    why: str
    afterwards: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unresolved:
    """No tariff prices the session; `hold` is the reason under which it waits."""

    hold: str
    why: str


NO_TARIFF = "no_tariff"
CURRENCY_MISMATCH = "currency_mismatch"


def resolve(place: Place, assignments: Assignments, versions: Versions) -> Resolved | Unresolved:
    """The tariff in force at the place and instant: narrowest scope, in it the latest valid_from, then latest entered."""
    then = _resolve(place, assignments, versions, known_by=place.at)
    if isinstance(then, Resolved):
        return then
    return _resolve(place, assignments, versions, known_by=None)


def _resolve(
    place: Place, assignments: Assignments, versions: Versions, *, known_by: datetime | None
) -> Resolved | Unresolved:
    reasons: list[str] = []
    for scope in Scope:
        assignment = _in_force(place, scope, assignments, known_by)
        if assignment is None:
            reasons.append(f"{scope.value}: nothing assigned")
            continue
        outcome = _version_in_force(place, assignment, versions.get(assignment.tariff, ()), known_by)
        if isinstance(outcome, str):
            reasons.append(f"{scope.value}: {outcome}")
            continue
        label = f"tariff {assignment.tariff} version {outcome.number}"
        if outcome.tariff.currency != place.currency:
            return Unresolved(
                hold=CURRENCY_MISMATCH,
                why=f"{label} is in {outcome.tariff.currency}, site {place.site} in {place.currency}",
            )
        reasons.append(f"{scope.value}: {label}, assigned from {assignment.valid_from.isoformat()}")
        return Resolved(
            tariff=outcome.tariff,
            assignment=assignment,
            why="; ".join(reasons),
            afterwards=known_by is None,
        )
    return Unresolved(hold=NO_TARIFF, why="; ".join(reasons))


def _in_force(place: Place, scope: Scope, assignments: Assignments, known_by: datetime | None) -> Assignment | None:
    fitting = (
        each
        for each in assignments.get((scope, place.target_of(scope)), ())
        if each.valid_from <= place.at and (known_by is None or each.entered_at <= known_by)
    )
    return max(fitting, key=lambda each: (each.valid_from, each.entered_at, each.id), default=None)


def _version_in_force(
    place: Place, assignment: Assignment, versions: Sequence[TariffVersion], known_by: datetime | None
) -> TariffVersion | str:
    """The newest version that has begun; text saying why not, where none has or OCPI's own validity excludes it.

    A version that has ended does not bring an older one back: its author replaced that one.
    """
    begun = (
        each for each in versions if each.valid_from <= place.at and (known_by is None or each.entered_at <= known_by)
    )
    newest = max(begun, key=lambda each: (each.valid_from, each.number), default=None)
    if newest is None:
        return f"tariff {assignment.tariff} has no version that is valid then"
    start, end = newest.tariff.valid_from, newest.tariff.valid_to
    if (start is not None and place.at < start) or (end is not None and place.at >= end):
        return f"tariff {assignment.tariff} version {newest.number} is outside its start_date_time and end_date_time"
    return newest
