"""Shows how a rating came about, line by line, and recomputes it from those lines alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final

from billing.money import Money, exact_decimal
from billing.rating.concessions import free_kwh_of
from billing.rating.matching import Phase
from billing.rating.rating import PER_PRICE, Adjustment, Basis, Concession, Effect, Note, Rating, Segment, Unit
from billing.tariffs.tariff import TaxIncluded

_SENTENCES: Final = {
    Note.WAIVED: "waived: less energy than the policy's threshold",
    Note.STEP_SURPLUS: "rounded up to a whole step_size",
    Note.MIN_PRICE: "raised to min_price",
    Note.MAX_PRICE: "cut to max_price",
    Note.SURCHARGE: "a surcharge of the operator",
    Note.DISCOUNT: "a discount of the operator",
    Note.INCENTIVE: "a third party pays a part",
    Note.FREE: "free: no element of the tariff matched",
    Note.TAX_UNKNOWN: "the tariff names no VAT rate: tax is 0 until the seller's rules say otherwise",
    Note.POWER_UNKNOWN: "power was not known for some time: power restrictions did not match there",
    Note.CURRENT_UNKNOWN: "current was not known for some time: current restrictions did not match there",
    Note.GRACE: "free: within the idle fee's grace",
    Note.QUIET: "free: quiet hours of the idle fee",
    Note.IDLE_CAP: "idle fee cut to its cap",
    Note.VOLUME_TIER: "tier of the month's volume",
    Note.SERIES: "price by the series",
    Note.SERIES_FALLBACK: "the series has no value here: its declared fallback",
    Note.OUTSIDE_VALIDITY: "the session began outside the tariff's validity",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedLine:
    """A row of the explanation; `what` names it, the others are empty where they do not apply."""

    what: str
    since: datetime | None = None
    until: datetime | None = None
    quantity: str = ""
    unit_price: str = ""
    tariff: str = ""
    rule: str = ""
    tax: str = ""
    excl_tax: str = ""
    incl_tax: str = ""


def sentence(note: Note) -> str:
    """A note in words."""
    return _SENTENCES[note]


def explain(rating: Rating) -> tuple[ExplainedLine, ...]:
    """Quantity x unit price x tariff version x rule x tax, then the sum, its tax per rate and its rounding."""
    lines = [_segment_line(rating, segment) for segment in rating.segments]
    lines += [_adjustment_line(rating, adjustment) for adjustment in rating.adjustments]
    lines.append(
        ExplainedLine(
            what="sum",
            rule="exact",
            excl_tax=_amount(rating.excl_tax),
            incl_tax=_amount(rating.incl_tax),
        )
    )
    lines += [
        ExplainedLine(
            what="tax group",
            tax=_vat(group.vat, rating.tax_included),
            rule="; ".join([f"tax {group.tax.text}", *_tax_rules(rating, group.vat)]),
            excl_tax=group.net.text,
            incl_tax=(group.net + group.tax).text,
        )
        for group in rating.tax_groups
    ]
    lines.append(
        ExplainedLine(
            what="total",
            rule=f"rounded once, {rating.policy.rounding.value} to {rating.currency} (policy {rating.policy.version}, "
            f"engine {rating.engine_version}, {'final' if rating.final else 'interim'})",
            tax=rating.total_tax.text,
            excl_tax=rating.total_excl.text,
            incl_tax=rating.total_incl.text,
        )
    )
    lines += _incentive_lines(rating)
    seen = {line.note for line in rating.segments} | {line.note for line in rating.adjustments}
    seen |= {Note.INCENTIVE}
    lines += [ExplainedLine(what="note", rule=sentence(note)) for note in rating.notes if note not in seen]
    return tuple(lines)


def _segment_line(rating: Rating, segment: Segment) -> ExplainedLine:
    name = segment.dimension.value if segment.phase is Phase.SESSION else f"{segment.phase.value} {segment.dimension}"
    return ExplainedLine(
        what=name,
        since=segment.start.astimezone(UTC),
        until=segment.end.astimezone(UTC),
        quantity=_quantities(segment),
        unit_price="" if segment.unit_price is None else _price(segment, segment.unit_price, rating.currency),
        tariff=_tariff(rating),
        rule=_rule(segment),
        tax=_vat(segment.vat, rating.tax_included),
        excl_tax=_amount(segment.excl_tax),
        incl_tax=_amount(segment.incl_tax),
    )


def _adjustment_line(rating: Rating, adjustment: Adjustment) -> ExplainedLine:
    concession = next((each for each in rating.concessions if each.id == adjustment.concession), None)
    return ExplainedLine(
        what=adjustment.note.value,
        quantity="" if concession is None else concession_quantity(concession, rating),
        unit_price="" if concession is None else concession_price(concession, rating.currency),
        tariff=_tariff(rating) if concession is None else "",
        rule=sentence(adjustment.note) if concession is None else _concession_rule(concession),
        tax=_vat(adjustment.vat, rating.tax_included),
        excl_tax=_amount(adjustment.excl_tax),
        incl_tax=_amount(adjustment.incl_tax),
    )


def _tariff(rating: Rating) -> str:
    return rating.tariff_id if rating.tariff_version is None else f"{rating.tariff_id} v{rating.tariff_version}"


def _rule(segment: Segment) -> str:
    if segment.note is Note.FREE or segment.element is None:
        return sentence(Note.FREE)
    rule = f"element {segment.element}"
    if segment.note is Note.STEP_SURPLUS:
        return f"{rule}, {_quantity(segment.quantity_used, segment.unit)} used, {sentence(Note.STEP_SURPLUS)}"
    return rule if segment.note is None else f"{rule}, {sentence(segment.note)}"


def _tax_rules(rating: Rating, rate: Decimal | None) -> list[str]:
    """The tax rules that gave this rate, with category and legal note; where there are several, with their parts."""
    parts: dict[str, list[str]] = {}
    for tax in rating.taxes:
        if tax.rate == rate:
            told = f"rule {tax.rule}, category {tax.category}{'' if tax.note is None else f': {tax.note}'}"
            parts.setdefault(told, []).append(tax.component.value)
    if len(parts) < 2:  # noqa: PLR2004 - several
        return list(parts)
    return [f"{', '.join(names)} by {told}" for told, names in parts.items()]


def _quantities(segment: Segment) -> str:
    return _quantity(segment.quantity_billed, segment.unit)


def _quantity(value: Decimal, unit: Unit) -> str:
    match unit:
        case Unit.WATT_HOUR:
            return f"{value.scaleb(-3):.3f} kWh" if value == round(value) else f"{value.scaleb(-3):f} kWh"
        case Unit.SECOND:
            minutes, seconds = divmod(value, 60)
            return f"{int(minutes) // 60}:{int(minutes) % 60:02d}:{seconds:0>2f} h ({value:f} s)"
        case Unit.ONCE:
            return "1"


def _price(segment: Segment, price: Decimal, currency: str) -> str:
    per = {Unit.WATT_HOUR: "/kWh", Unit.SECOND: "/h", Unit.ONCE: ""}[segment.unit]
    return f"{price:f} {currency}{per}"


def _vat(vat: Decimal | None, tax_included: TaxIncluded) -> str:
    if tax_included is TaxIncluded.NOT_APPLICABLE:
        return "no tax applies"
    rate = "no rate named" if vat is None else f"{vat:f} %"
    return f"{rate}, {'included' if tax_included is TaxIncluded.YES else 'on top'}"


def _amount(value: Fraction) -> str:
    shown = exact_decimal(value)
    return f"{shown:f}" if Fraction(shown) == value else f"{shown:f}..."


def _incentive_lines(rating: Rating) -> list[ExplainedLine]:
    """Who pays a part of the total, and what is left for the customer."""
    if not rating.incentives:
        return []
    by_id = {each.id: each for each in rating.concessions}
    lines = [
        ExplainedLine(
            what=Note.INCENTIVE.value,
            quantity=concession_quantity(by_id[each.concession], rating),
            unit_price=concession_price(by_id[each.concession], rating.currency),
            rule=f"{each.label} ({each.concession}), paid by {each.party}",
            incl_tax=(-each.amount).text,
        )
        for each in rating.incentives
    ]
    return [*lines, ExplainedLine(what="payable", rule="total less incentives", incl_tax=rating.payable.text)]


def concession_quantity(concession: Concession, rating: Rating) -> str:
    """How many of its unit a concession gives or takes in a session."""
    match concession.basis:
        case Basis.PER_KWH:
            return _quantity(rating.energy_wh, Unit.WATT_HOUR)
        case Basis.FREE_KWH:
            return _quantity(free_kwh_of(rating.concessions, rating.energy_wh)[concession.id].scaleb(3), Unit.WATT_HOUR)
        case Basis.PERCENT | Basis.FIXED:
            return ""


def concession_price(concession: Concession, currency: str) -> str:
    """The value of a concession with its unit; what lowers the bill is negative."""
    sign = "" if concession.effect is Effect.SURCHARGE else "-"
    match concession.basis:
        case Basis.PERCENT:
            return f"{sign}{concession.value:f} %"
        case Basis.FIXED:
            return f"{sign}{concession.value:f} {currency}"
        case Basis.PER_KWH:
            return f"{sign}{concession.value:f} {currency}/kWh"
        case Basis.FREE_KWH:
            return "free"


def _concession_rule(concession: Concession) -> str:
    part = "the total" if concession.component is None else concession.component.value
    told = f"{concession.label} ({concession.id}), on {part}"
    if concession.basis is Basis.FREE_KWH:
        return f"{told}: {concession.left_kwh:f} of {concession.value:f} kWh of the month were left"
    return told


@dataclass(frozen=True, slots=True, kw_only=True)
class Recomputed:
    """The totals as they follow from the lines alone."""

    total_excl: Money
    total_tax: Money
    total_incl: Money
    payable: Money


def recompute(rating: Rating) -> Recomputed:
    """Work the totals out again from quantity, unit price, VAT rate and adjustments; no amount of a segment is read."""
    net, gross = Fraction(0), Fraction(0)
    for segment in rating.segments:
        if segment.unit_price is None:
            continue
        amount = Fraction(segment.quantity_billed) / PER_PRICE[segment.unit] * Fraction(segment.unit_price)
        factor = 1 + Fraction(segment.vat or 0) / 100
        inclusive = rating.tax_included is TaxIncluded.YES
        net += amount / factor if inclusive else amount
        gross += amount if inclusive else amount * factor
    net += sum((line.excl_tax for line in rating.adjustments), Fraction(0))
    gross += sum((line.incl_tax for line in rating.adjustments), Fraction(0))
    excl = Money.round_from(net, rating.currency, rating.policy.rounding)
    incl = Money.round_from(gross, rating.currency, rating.policy.rounding)
    payable = sum((-each.amount for each in rating.incentives), incl)
    return Recomputed(total_excl=excl, total_tax=incl - excl, total_incl=incl, payable=payable)
