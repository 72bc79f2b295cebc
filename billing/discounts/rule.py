"""Who gets which surcharge, discount or incentive: rules, and what they mean for one session (RULES.md 32). Pure.

Rules are chosen as tariffs are: as of the instant from which the session is priced, by what was entered up to then.
What they allow is counted from final bills, by whoever holds the lock on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

from billing.rating.rating import Basis, ComponentName, Concession, Effect
from billing.tariffs.assignment import EVERYBODY, Audience, Place, Scope
from billing.time_zones import zone_named


class Bearer(StrEnum):
    """Who a rule counts for by itself."""

    TOKEN = "token"  # noqa: S105 - a driver's card, no secret
    TOKEN_GROUP = "token_group"  # noqa: S105


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """From `valid_to` on a rule holds no more, said at `entered_at`."""

    valid_to: datetime
    entered_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A stored rule; `value` and what goes with it as in Concession. None does not ask or does not limit.

    `coupon`: only for tokens that it was redeemed for, `redemptions_max` of them at most. `uses_max` sessions altogether,
    `uses_each_max` of each bearer. `last_month_kwh_min`: what the bearer must have charged in the calendar month before.
    `whole_life`: its free kWh are for all its days together, not for each calendar month; contracts make such rules.
    """

    id: str
    label: str
    effect: Effect
    basis: Basis
    value: Decimal
    turn: int
    valid_from: datetime
    entered_at: datetime
    currency: str | None = None
    component: ComponentName | None = None
    vat: Decimal | None = None
    party: str | None = None
    scope: Scope = Scope.DEFAULT
    target: str | None = None
    audience: Audience = EVERYBODY
    token: str | None = None
    tariff: str | None = None
    coupon: str | None = None
    redemptions_max: int | None = None
    uses_max: int | None = None
    uses_each_max: int | None = None
    last_month_kwh_min: Decimal | None = None
    whole_life: bool = False
    bearer: Bearer = Bearer.TOKEN
    valid_to: datetime | None = None
    ends: tuple[End, ...] = ()

    @property
    def is_counted(self) -> bool:
        """Whether earlier bills decide what it still gives."""
        return self.counts_each or self.uses_max is not None

    @property
    def counts_each(self) -> bool:
        """Whether it counts by bearer."""
        return self.uses_each_max is not None or self.basis is Basis.FREE_KWH

    def ended_at(self, known_by: datetime) -> datetime | None:
        """Up to when it holds, by what was entered until `known_by`."""
        told = [end.valid_to for end in self.ends if end.entered_at <= known_by]
        return min([*told, *([self.valid_to] if self.valid_to is not None else [])], default=None)

    def concession(self, used_kwh: Decimal = Decimal(0)) -> Concession:
        """What the engine is told of it."""
        return Concession(
            id=self.id,
            label=self.label,
            effect=self.effect,
            basis=self.basis,
            value=self.value,
            order=self.turn,
            component=self.component,
            vat=self.vat,
            party=self.party,
            used_kwh=used_kwh,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A session as rules look at it. `session` 0: one that somebody only asks about. `ended`: its final bill may be next."""

    session: int
    place: Place
    token: str | None
    tariff: str | None
    time_zone: str
    ended: bool = False

    @property
    def month(self) -> date:
        """The first day of the calendar month in which it began, by its site's clock."""
        return self.place.at.astimezone(zone_named(self.time_zone)).date().replace(day=1)

    @property
    def month_before(self) -> tuple[datetime, datetime]:
        """From when to when the calendar month before that lasted."""
        first = self.month
        before = (
            first.replace(year=first.year - 1, month=12) if first.month == 1 else first.replace(month=first.month - 1)
        )
        zone = zone_named(self.time_zone)
        return _midnight(before, zone), _midnight(first, zone)

    def bearer(self, kind: Bearer) -> str | None:
        """Its token, or the token's group."""
        return self.token if kind is Bearer.TOKEN else self.place.customer.token_group


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What earlier bills used of a rule: sessions altogether, sessions and the month's kWh of one bearer. And what the
    bearer charged in the month before, where the rule asks.
    """

    uses: int = 0
    uses_each: int = 0
    used_kwh: Decimal = Decimal(0)
    last_month_kwh: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one rule means for a session. `concession` None: nothing, and `why` says why."""

    rule: Rule
    why: str
    concession: Concession | None = None


Redemptions = Mapping[tuple[str, str], datetime]
"""When coupons were redeemed, by rule and token."""


def excluded(rule: Rule, subject: Subject, redemptions: Redemptions) -> str | None:
    """Why a rule has nothing to do with the session, whatever was used of it; None: it has."""
    place = subject.place
    if (rule.scope, rule.target) not in set(place.targets()):
        return f"for {rule.scope.value} {rule.target}"
    if rule.valid_from > place.at:
        return f"holds only from {rule.valid_from.isoformat()}"
    if rule.entered_at > place.at:
        return f"entered only at {rule.entered_at.isoformat()}"
    end = rule.ended_at(place.at)
    if end is not None and end <= place.at:
        return f"ended at {end.isoformat()}"
    asked = (
        ("currency", rule.currency, place.currency),
        ("token", rule.token, subject.token),
        ("tariff", rule.tariff, subject.tariff),
    )
    for name, wanted, found in asked:
        if wanted is not None and wanted != found:
            return f"for {name} {wanted}, this is {'none' if found is None else found}"
    return rule.audience.excludes(place) or _not_redeemed(rule, subject, redemptions) or _nobody_counted(rule, subject)


def _not_redeemed(rule: Rule, subject: Subject, redemptions: Redemptions) -> str | None:
    if rule.coupon is None:
        return None
    at = None if subject.token is None else redemptions.get((rule.id, subject.token))
    if at is None:
        return f"coupon {rule.coupon} is not redeemed for this token"
    return f"coupon {rule.coupon} redeemed only at {at.isoformat()}" if at > subject.place.at else None


def _nobody_counted(rule: Rule, subject: Subject) -> str | None:
    if (rule.counts_each or rule.last_month_kwh_min is not None) and subject.bearer(rule.bearer) is None:
        return f"counted by {rule.bearer.value.replace('_', ' ')}, this is none"
    return None


def used_up(rule: Rule, counts: Counts) -> str | None:
    """Why a rule that fits gives nothing any more, or not yet; None: it does."""
    if rule.last_month_kwh_min is not None and counts.last_month_kwh < rule.last_month_kwh_min:
        return f"{counts.last_month_kwh:f} kWh last month, less than {rule.last_month_kwh_min:f}"
    if rule.uses_max is not None and counts.uses >= rule.uses_max:
        return f"used {counts.uses} times of {rule.uses_max}"
    if rule.uses_each_max is not None and counts.uses_each >= rule.uses_each_max:
        return f"used {counts.uses_each} times of {rule.uses_each_max} by this {rule.bearer.value.replace('_', ' ')}"
    if rule.basis is Basis.FREE_KWH and counts.used_kwh >= rule.value:
        return f"nothing left of {rule.value:f} kWh{'' if rule.whole_life else ' of the month'}"
    return None


def limit_keys(rule: Rule, subject: Subject) -> frozenset[str]:
    """What two sessions must not use at the same time, as text."""
    everybody = {rule.id} if rule.uses_max is not None else set()
    each = {f"{rule.id} {subject.bearer(rule.bearer)}"} if rule.counts_each else set()
    return frozenset(everybody | each)


def one_at_a_time(fitting: Mapping[int, Iterable[Rule]], subjects: Mapping[int, Subject]) -> list[int]:
    """The sessions that may be decided at once: of those that ended and share a limit the first one, and all others."""
    taken: set[str] = set()
    chosen: list[int] = []
    for session in sorted(fitting):
        keys = {key for rule in fitting[session] for key in limit_keys(rule, subjects[session])}
        if not subjects[session].ended:
            chosen.append(session)
        elif not keys & taken:
            taken |= keys
            chosen.append(session)
    return chosen
