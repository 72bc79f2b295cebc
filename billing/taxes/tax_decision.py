"""Which tax rule decides for a part of a bill (RULES.md 21). Pure: the rules, the customer and the day are given.

Of the rules of the country that fit the day, the customer and the supply, the one decides that goes before all others: it
asks for everything that they ask for, and more. Where no rule fits, or two fit and neither goes before the other,
nothing is decided: a tax is never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from billing.rating.matching import Phase, menu_of
from billing.rating.rating import AppliedTax, ComponentName, Concession, Effect, component_of
from billing.rating.terms import Undecided
from billing.tariffs.tariff import Tariff, TaxIncluded
from billing.taxes.tax_rule import CustomerKind, Supplied, TaxRule, VatIdAsked
from billing.taxes.vat_id import country_of
from billing.time_zones import zone_named

TAX_UNDECIDED: Final = "tax_undecided"
REASONS_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxedCustomer:
    """Who is billed, as far as taxes look at it. Of whom nobody said anything is private and has no VAT id."""

    kind: CustomerKind = CustomerKind.PRIVATE
    vat_id: str | None = None

    def __str__(self) -> str:
        return (
            f"{self.kind.value} customer {'without a VAT id' if self.vat_id is None else f'with VAT id {self.vat_id}'}"
        )


UNKNOWN: Final = TaxedCustomer()


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """A country, a customer, and the day of the tax point by the calendar of the site."""

    country: str
    day: date
    customer: TaxedCustomer = UNKNOWN

    def __str__(self) -> str:
        return f"{self.country}, {self.customer}, tax point {self.day}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleVerdict:
    """What a rule means for one part of a bill, and why. One that applies is the only one."""

    rule: TaxRule
    applies: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A part of a bill with what every rule means for it, the deciding one first. `open`: why none decides."""

    component: Supplied
    verdicts: tuple[RuleVerdict, ...]
    open: str | None = field(default=None)

    @property
    def rule(self) -> TaxRule | None:
        """The rule that decides."""
        return next((each.rule for each in self.verdicts if each.applies), None)


def day_of(at: datetime, time_zone: str) -> date:
    """The day that the calendar of a site shows; its first instant belongs to it."""
    return at.astimezone(zone_named(time_zone)).date()


def priced_parts(tariff: Tariff, concessions: Iterable[Concession] = ()) -> tuple[ComponentName, ...]:
    """The parts of a total that a tariff and surcharges may price; none where no tax applies, as then no rule is asked."""
    if tariff.tax_included is TaxIncluded.NOT_APPLICABLE:
        return ()
    found = {component_of(phase, dimension) for phase in Phase for dimension in menu_of(tariff, phase)}
    if tariff.min_price is not None:  # where no element matched at all it is a fee
        found.add(ComponentName.FLAT)
    surcharges = (each for each in concessions if each.effect is Effect.SURCHARGE)
    found |= {each.component or ComponentName.FLAT for each in surcharges}
    return tuple(name for name in ComponentName if name in found)


def judge(rules: Iterable[TaxRule], supply: Supply, component: Supplied) -> Judged:
    """What each rule of the country means for one part of a bill."""
    out: list[RuleVerdict] = []
    fitting: list[TaxRule] = []
    for rule in sorted(rules, key=lambda each: each.id):
        why = _excluded(rule, supply, component)
        if why is None:
            fitting.append(rule)
        else:
            out.append(RuleVerdict(rule=rule, applies=False, why=why))
    first = [each for each in fitting if not any(other.goes_before(each) for other in fitting)]
    rest = [each for each in fitting if each not in first]
    if len(first) == 1:  # in a finite order the only one that nothing goes before goes before all
        [winner] = first
        behind = [RuleVerdict(rule=each, applies=False, why=f"rule {winner.id} asks for more") for each in rest]
        verdicts = (RuleVerdict(rule=winner, applies=True, why=_asked(winner)), *behind, *out)
        return Judged(component=component, verdicts=verdicts)
    tied = [RuleVerdict(rule=each, applies=False, why=_tie(each, first)) for each in first]
    behind = [RuleVerdict(rule=each, applies=False, why="others ask for more") for each in rest]
    return Judged(component=component, verdicts=(*tied, *behind, *out), open=_open(first, out))


def taxes_for(
    rules: Sequence[TaxRule], supply: Supply, parts: Iterable[ComponentName]
) -> tuple[AppliedTax, ...] | Undecided:
    """The tax of each of these parts; none at all where the country has no rules: then the tariff's own rates hold."""
    if not rules:
        return ()
    judged = [judge(rules, supply, part) for part in parts]
    missing = [each for each in judged if each.open is not None]
    if missing:
        told = "; ".join(f"{each.component.value}: {each.open}" for each in missing)
        return Undecided(
            hold=TAX_UNDECIDED,
            why=f"{supply}: {told}. Decide by a rule: csms tax rule add; csms tax which shows the decision",
        )
    return tuple(_applied(each) for each in judged)


def _applied(judged: Judged) -> AppliedTax:
    rule = judged.rule
    assert rule is not None, "what is not open has its rule"
    assert isinstance(judged.component, ComponentName), "a session has these parts only"
    return AppliedTax(
        component=judged.component, rate=rule.rate, rule=rule.id, category=rule.category.value, note=rule.note
    )


def _excluded(rule: TaxRule, supply: Supply, component: Supplied) -> str | None:
    """Why a rule has nothing to do with this part of a bill; None: it fits."""
    if rule.country != supply.country:
        return f"for {rule.country}, this is {supply.country}"
    if rule.supply is not None and rule.supply != component:
        return f"for {rule.supply.value}, this is {component.value}"
    if supply.day < rule.valid_from:
        return f"holds only from {rule.valid_from}, the tax point is {supply.day}"
    if rule.valid_to is not None and supply.day > rule.valid_to:
        return f"held until {rule.valid_to}, the tax point is {supply.day}"
    if rule.customer is not None and rule.customer is not supply.customer.kind:
        return f"for {rule.customer.value} customers, this one is {supply.customer.kind.value}"
    return _wrong_vat_id(rule, supply)


def _wrong_vat_id(rule: TaxRule, supply: Supply) -> str | None:
    asked, vat_id = rule.vat_id, supply.customer.vat_id
    if asked is None:
        return None
    found = VatIdAsked.NO
    if vat_id is not None:
        found = VatIdAsked.DOMESTIC if country_of(vat_id) == supply.country else VatIdAsked.FOREIGN
    if asked is found or (asked is VatIdAsked.YES and found is not VatIdAsked.NO):
        return None
    wanted = {
        VatIdAsked.NO: "without a VAT id",
        VatIdAsked.YES: "with a VAT id",
        VatIdAsked.DOMESTIC: f"with a VAT id of {supply.country}",
        VatIdAsked.FOREIGN: f"with a VAT id of another country than {supply.country}",
    }[asked]
    return f"for customers {wanted}, this one has {vat_id or 'none'}"


def _asked(rule: TaxRule) -> str:
    """What it asked for and found, as the reason why it decides."""
    asked = [
        None if rule.supply is None else f"supply {rule.supply.value}",
        None if rule.customer is None else f"customer {rule.customer.value}",
        None if rule.vat_id is None else f"VAT id {rule.vat_id.value}",
    ]
    told = ", ".join(each for each in asked if each is not None) or f"everything in {rule.country}"
    until = "" if rule.valid_to is None else f" to {rule.valid_to}"
    return f"{told}, from {rule.valid_from}{until}"


def _tie(rule: TaxRule, first: Sequence[TaxRule]) -> str:
    others = ", ".join(each.id for each in first if each is not rule)
    return f"fits as well as {others}: neither goes before the other"


def _open(first: Sequence[TaxRule], out: Sequence[RuleVerdict]) -> str:
    if first:
        names = " and ".join(each.id for each in first)
        return f"rules {names} fit and none goes before the others; end one, or add one that asks for what they ask"
    told = "; ".join(f"{each.rule.id}: {each.why}" for each in out[:REASONS_SHOWN])
    more = f"; and {len(out) - REASONS_SHOWN} more" if len(out) > REASONS_SHOWN else ""
    return f"no rule fits ({told}{more})" if told else "no rule fits: there is none of this country"
