"""The product matrix: who pays by which tariff where (RULES.md 15). Knows no database and no clock.

An assignment says where it holds (a charge point, a site, a location group, everywhere) and may say for whom (a token
group, a user class) and for which product. Of those that fit, one rule decides: the higher priority, then the narrower
place, then the narrower customer, then a named product, then the later `valid_from`, then the later entry. One whose
tariff is not valid then gives way to the next.

The assignments and versions that were known at the session's own instant decide, so that whatever is entered later
for an earlier time changes nothing, however late the session itself arrives. Only where nothing known then priced the
session does what was entered since count: that is how a session held `no_tariff` finds its tariff.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from billing.tariffs.idle import IdleAfterStop
from billing.tariffs.tariff import Tariff


class Scope(StrEnum):
    """How much an assignment covers, narrowest first: that one wins."""

    CHARGE_POINT = "charge_point"
    SITE = "site"
    LOCATION_GROUP = "location_group"
    DEFAULT = "default"


class UserClass(StrEnum):
    """What a driver is to the operator."""

    AD_HOC = "ad_hoc"
    MEMBER = "member"
    EMPLOYEE = "employee"
    RESIDENT = "resident"
    FLEET = "fleet"
    ROAMING = "roaming"


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Who charges, as far as prices look at it: the token's group and class when the session began."""

    token_group: str | None = None
    user_class: UserClass | None = None


NOBODY = Customer()
"""Of whom nothing is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """For whom and for what an assignment holds; None does not ask."""

    token_group: str | None = None
    user_class: UserClass | None = None
    product: str | None = None

    @property
    def rank(self) -> tuple[bool, bool, bool]:
        """Higher is narrower."""
        return self.token_group is not None, self.user_class is not None, self.product is not None

    def excludes(self, place: Place) -> str | None:
        """Why it does not hold for who charges there; None: it does."""
        asked = (
            ("token group", self.token_group, place.customer.token_group),
            ("user class", self.user_class, place.customer.user_class),
            ("product", self.product, place.product),
        )
        for name, wanted, found in asked:
            if wanted is not None and wanted != found:
                return f"for {name} {wanted}, this is {'none' if found is None else found}"
        return None


EVERYBODY = Audience()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An assignment that is about to be entered; see Assignment."""

    tariff: str | None
    scope: Scope
    target: str | None
    valid_from: datetime
    audience: Audience = EVERYBODY
    priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """From `valid_from` on, `target` charges by `tariff`. `target` is None for the default.

    `tariff` None ends what was assigned before to the same target, audience and priority.
    """

    id: int
    tariff: str | None
    scope: Scope
    target: str | None
    valid_from: datetime
    entered_at: datetime
    audience: Audience = EVERYBODY
    priority: int = 0

    @property
    def slot(self) -> tuple[Scope, str | None, Audience, int]:
        """What a later assignment of the same replaces."""
        return self.scope, self.target, self.audience, self.priority


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
    """Where, when and for whom a session is priced: the instant at which token and EVSE were first both known.

    `location_groups` are those that the site was in then; `product` is what the charge point sells.
    """

    charge_point: str
    site: str
    currency: str
    at: datetime
    location_groups: frozenset[str] = frozenset()
    customer: Customer = NOBODY
    product: str | None = None

    def targets(self) -> Iterator[tuple[Scope, str | None]]:
        """Whatever may be assigned to it."""
        yield Scope.CHARGE_POINT, self.charge_point
        yield Scope.SITE, self.site
        for group in sorted(self.location_groups):
            yield Scope.LOCATION_GROUP, group
        yield Scope.DEFAULT, None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one assignment means for a place. `version` None: it does not price it, and `why` says why."""

    assignment: Assignment
    why: str
    version: TariffVersion | None = None


REASONS_SHOWN = 5
NO_TARIFF = "no_tariff"
CURRENCY_MISMATCH = "currency_mismatch"


def resolve(place: Place, assignments: Assignments, versions: Versions) -> Resolved | Unresolved:
    """The tariff in force at the place and instant, by the one rule of this module."""
    known = [each for target in place.targets() for each in assignments.get(target, ())]
    then = _resolve(place, known, versions, known_by=place.at)
    if isinstance(then, Resolved):
        return then
    return _resolve(place, known, versions, known_by=None)


def judge(
    place: Place, assignments: Iterable[Assignment], versions: Versions, *, known_by: datetime | None
) -> list[Verdict]:
    """Every assignment with what it means for the place; the first prices it, if it has a version, and no other does.

    `known_by`: what was entered later counts as unknown; None: everything counts.
    """
    targets = frozenset(place.targets())
    excluded: list[Verdict] = []
    in_force: dict[object, Assignment] = {}
    for each in sorted(assignments, key=_age, reverse=True):
        why = _excluded(place, targets, each, known_by)
        if why is not None:
            excluded.append(Verdict(assignment=each, why=why))
        elif each.slot in in_force:
            newer = in_force[each.slot]
            why = f"assignment {newer.id} of the same kind replaced it at {newer.valid_from.isoformat()}"
            excluded.append(Verdict(assignment=each, why=why))
        else:
            in_force[each.slot] = each
    winner: Verdict | None = None
    others: list[Verdict] = []
    for each in sorted(in_force.values(), key=_rank, reverse=True):
        verdict = _version_in_force(place, each, versions, known_by)
        if verdict.version is None:
            others.append(verdict)
        elif winner is None:
            winner = verdict
        else:
            why = f"assignment {winner.assignment.id} goes first: {_first(winner.assignment, each)}"
            others.append(Verdict(assignment=each, why=why))
    return [*([] if winner is None else [winner]), *others, *excluded]


def _resolve(
    place: Place, assignments: Sequence[Assignment], versions: Versions, *, known_by: datetime | None
) -> Resolved | Unresolved:
    verdicts = judge(place, assignments, versions, known_by=known_by)
    chosen = verdicts[0] if verdicts else None
    if chosen is not None and chosen.version is not None:
        tariff = chosen.version.tariff
        if tariff.currency != place.currency:
            label = f"tariff {tariff.id} version {chosen.version.number}"
            why = f"{label} is in {tariff.currency}, site {place.site} in {place.currency}"
            return Unresolved(hold=CURRENCY_MISMATCH, why=why)
        return Resolved(tariff=tariff, assignment=chosen.assignment, why=chosen.why, afterwards=known_by is None)
    told = "; ".join(f"assignment {each.assignment.id}: {each.why}" for each in verdicts[:REASONS_SHOWN])
    return Unresolved(hold=NO_TARIFF, why=told or "nothing is assigned to the charge point, its site or everybody")


def _age(each: Assignment) -> tuple[datetime, datetime, int]:
    return each.valid_from, each.entered_at, each.id


def newest_in_force(slot: Iterable[Assignment]) -> Assignment | None:
    """Of assignments that replace each other the one that counts."""
    return max(slot, key=_age, default=None)


def _rank(each: Assignment) -> tuple[object, ...]:
    """Higher goes first."""
    return each.priority, -list(Scope).index(each.scope), each.audience.rank, *_age(each)


def _first(winner: Assignment, loser: Assignment) -> str:
    """By which part of the rule the one goes before the other."""
    if winner.priority != loser.priority:
        return f"priority {winner.priority} before {loser.priority}"
    if winner.scope is not loser.scope:
        return f"{winner.scope.value} before {loser.scope.value}"
    if winner.audience.rank != loser.audience.rank:
        return "it names its customers or product more narrowly"
    return f"it holds since {winner.valid_from.isoformat()}, later than {loser.valid_from.isoformat()}"


def _excluded(
    place: Place, targets: Collection[tuple[Scope, str | None]], each: Assignment, known_by: datetime | None
) -> str | None:
    """Why an assignment has nothing to do with the place, the instant or the customer; None: it has."""
    if (each.scope, each.target) not in targets:
        return f"for {each.scope.value} {each.target}"
    if each.valid_from > place.at:
        return f"holds only from {each.valid_from.isoformat()}"
    if known_by is not None and each.entered_at > known_by:
        return f"entered only at {each.entered_at.isoformat()}"
    return each.audience.excludes(place)


def _version_in_force(place: Place, each: Assignment, versions: Versions, known_by: datetime | None) -> Verdict:
    """The newest version that has begun; why not, where none has or OCPI's own validity excludes it.

    A version that has ended does not bring an older one back: its author replaced that one.
    """
    if each.tariff is None:
        return Verdict(assignment=each, why=f"ended at {each.valid_from.isoformat()}")
    begun = (
        version
        for version in versions.get(each.tariff, ())
        if version.valid_from <= place.at and (known_by is None or version.entered_at <= known_by)
    )
    newest = max(begun, key=lambda version: (version.valid_from, version.number), default=None)
    if newest is None:
        return Verdict(assignment=each, why=f"tariff {each.tariff} has no version that is valid then")
    start, end = newest.tariff.valid_from, newest.tariff.valid_to
    label = f"tariff {each.tariff} version {newest.number}"
    if (start is not None and place.at < start) or (end is not None and place.at >= end):
        return Verdict(assignment=each, why=f"{label} is outside its start_date_time and end_date_time")
    return Verdict(
        assignment=each, why=f"{each.scope.value}: {label}, assigned from {each.valid_from.isoformat()}", version=newest
    )
