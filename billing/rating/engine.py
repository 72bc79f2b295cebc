"""The rating engine: a usage, a tariff and a policy in, a rating out. Pure; knows no clock, no database and no OCPP.

Interim and final differ in two things only: a final rating rounds quantities up to whole steps and raises the total
to min_price. So for the same facts: interim before max_price + step surplus, then both limits = final. max_price and
waiving act on both, so that a display never shows more than the bill. Surcharges act before the limits and discounts
after them, on both too.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from billing.money import Money, allocate, micro_decimal
from billing.rating import concessions, limits, steps
from billing.rating.concessions import Sale
from billing.rating.idle_fee import idle_excess
from billing.rating.limits import BucketKey, Buckets
from billing.rating.matching import MICRO
from billing.rating.policy import RatingPolicy
from billing.rating.rating import (
    ENGINE_VERSION,
    Adjustment,
    AppliedTax,
    ComponentAmount,
    ComponentName,
    Effect,
    Note,
    Rating,
    Segment,
    TaxGroup,
)
from billing.rating.running import Running, begun
from billing.rating.segments import segment_of
from billing.rating.spans import PICO_PER_MICRO, Trace
from billing.rating.terms import NO_TERMS, Terms
from billing.rating.usage import Usage
from billing.rating.usage_check import RESERVED
from billing.tariffs.tariff import Tariff, TaxIncluded

_ZERO: Final = Fraction(0)
_NOTES: Final = tuple(Note)
_COMPONENTS: Final = tuple(ComponentName)
_OCCUPANCY: Final = frozenset({ComponentName.TIME, ComponentName.PARKING})


def rate(
    usage: Usage,
    tariff: Tariff,
    policy: RatingPolicy,
    *,
    final: bool,
    terms: Terms = NO_TERMS,
    running: Running | None = None,
) -> Rating:
    """What the usage costs; raises UsageInvalid where it cannot be rated.

    `terms` are what prices it beside the tariff; a tax that they name holds instead of the tariff's rate (RULES.md 21).
    `running` is what is known of the first periods already: the same comes out, at the cost of the others.

    Waiving (`policy.waive_below_wh`) acts on interim ratings too: below the threshold both are 0.00, and once it is
    reached the interim shows everything since the start. It leaves the reservation due and needs a session to waive;
    min_price does not lift a waived session.
    """
    running = begun(running, usage, tariff, terms)
    trace = running.after(usage)
    spans = trace.spans()
    if final:
        spans = steps.with_surplus(spans)
    known = running.segments
    segments = tuple(known.get(id(span)) or segment_of(span, tariff.tax_included, terms) for span in spans)
    energy = trace.energy // PICO_PER_MICRO
    waived = _waived(usage, policy, energy)
    kwh = Fraction(energy, MICRO * 1000)
    sums = running.sums(segments)
    buckets, lines = _adjusted(usage, tariff, policy, segments, sums, terms=terms, kwh=kwh, waived=waived, final=final)
    total = limits.add_up(buckets.values())
    notes = {line.note for line in lines} | set(_notes(usage, tariff, trace, segments, waived=waived))
    if tariff.tax_included is not TaxIncluded.NOT_APPLICABLE and _taxless(buckets):
        notes.add(Note.TAX_UNKNOWN)
    total_excl = Money.round_from(total.net, tariff.currency, policy.rounding)
    gross = total.gross
    total_incl = Money.round_from(gross, tariff.currency, policy.rounding)
    total_tax = total_incl - total_excl
    incentives = concessions.paid_by_others(
        () if waived else terms.concessions, kwh=kwh, exact=gross, total=total_incl, rounding=policy.rounding
    )
    if incentives:
        notes.add(Note.INCENTIVE)
    return Rating(
        engine_version=ENGINE_VERSION,
        policy=policy,
        tariff_id=tariff.id,
        tariff_version=tariff.version,
        tax_included=tariff.tax_included,
        currency=tariff.currency,
        final=final,
        energy_wh=micro_decimal(energy),
        segments=segments,
        adjustments=tuple(lines),
        components=_components(buckets, total_excl),
        tax_groups=_tax_groups(buckets, total_excl, total_tax),
        excl_tax=total.net,
        incl_tax=gross,
        total_excl=total_excl,
        total_tax=total_tax,
        total_incl=total_incl,
        taxes=() if tariff.tax_included is TaxIncluded.NOT_APPLICABLE else _applied(buckets, terms),
        notes=tuple(note for note in _NOTES if note in notes),
        concessions=concessions.effective(terms.concessions, lines, incentives),
        incentives=incentives,
    )


def _applied(buckets: Buckets, terms: Terms) -> tuple[AppliedTax, ...]:
    """The taxes that concern a part of this total, in the parts' order."""
    parts = {component for component, _ in buckets}
    return tuple(tax for tax in terms.taxes if tax.component in parts)


def _adjusted(
    usage: Usage,
    tariff: Tariff,
    policy: RatingPolicy,
    segments: tuple[Segment, ...],
    buckets: Buckets,
    *,
    terms: Terms,
    kwh: Fraction,
    waived: bool,
    final: bool,
) -> tuple[Buckets, list[Adjustment]]:
    """The segments by component and rate, after waiving, surcharges, min_price, max_price and discounts, with their lines."""
    taxed = tariff.tax_included is not TaxIncluded.NOT_APPLICABLE
    fallback = _fallback(buckets, terms if taxed else NO_TERMS)
    lines: list[Adjustment] = []
    for key, excess in idle_excess(tariff, segments):
        capped = buckets | {key: buckets[key] - excess}
        lines += limits.adjustments(Note.IDLE_CAP, buckets, capped)
        buckets = capped
    if waived:
        kept = limits.waive(buckets, _kept(policy))
        lines += limits.adjustments(Note.WAIVED, buckets, kept)
        buckets = kept
    conceding = bool(terms.concessions and usage.periods) and not waived
    sale = Sale(tax_included=tariff.tax_included, kwh=kwh, fallback=fallback, terms=terms)
    if conceding:
        buckets, made = concessions.apply(Effect.SURCHARGE, buckets, sale)
        lines += made
    if final and tariff.min_price and usage.periods and not waived:
        raised = limits.raise_to(tariff.min_price, buckets, fallback, taxed=taxed)
        lines += limits.adjustments(Note.MIN_PRICE, buckets, raised)
        buckets = raised
    if tariff.max_price:
        cut = limits.cut_to(tariff.max_price, buckets, fallback, taxed=taxed)
        lines += limits.adjustments(Note.MAX_PRICE, buckets, cut)
        buckets = cut
    if conceding:
        buckets, made = concessions.apply(Effect.DISCOUNT, buckets, sale)
        lines += made
    return buckets, lines


def _waived(usage: Usage, policy: RatingPolicy, energy: int) -> bool:
    in_session = any(period.kind not in RESERVED for period in usage.periods)
    return policy.waive_below_wh is not None and in_session and energy < policy.waive_below_wh * MICRO


def _kept(policy: RatingPolicy) -> frozenset[ComponentName]:
    reservation = frozenset({ComponentName.RESERVATION})
    return reservation if policy.waive_occupancy else reservation | _OCCUPANCY


def _fallback(buckets: Buckets, terms: Terms) -> BucketKey:
    """Where a limit goes if there is nothing to scale: the first component that priced anything, even at no cost.

    Where no element matched at all it is a fee, at the rate of a tax rule. Without a rule the rate is unknown; taking one
    from an element that did not match would let a part of the tariff that does not apply change the bill.
    """
    for name in ComponentName:
        for component, vat in buckets:
            if component is name:
                return component, vat
    tax = terms.tax_of(ComponentName.FLAT)
    return ComponentName.FLAT, None if tax is None else tax.rate


def _components(buckets: Buckets, total: Money) -> tuple[ComponentAmount, ...]:
    nets = dict.fromkeys(_COMPONENTS, _ZERO)
    for (name, _), amount in buckets.items():
        nets[name] = nets[name] + amount.net if nets[name] else amount.net
    parts = allocate(total.minor, list(nets.values()))
    return tuple(
        ComponentAmount(name=name, excl_tax=Money(part, total.currency), excl_tax_exact=net)
        for (name, net), part in zip(nets.items(), parts, strict=True)
    )


def _tax_groups(buckets: Buckets, total_excl: Money, total_tax: Money) -> tuple[TaxGroup, ...]:
    groups = limits.by_rate(buckets)
    if not groups:
        return ()
    nets = allocate(total_excl.minor, [amount.net for amount in groups.values()])
    taxes = allocate(total_tax.minor, [amount.tax for amount in groups.values()])
    return tuple(
        TaxGroup(
            vat=vat,
            net=Money(net, total_excl.currency),
            tax=Money(tax, total_excl.currency),
            net_exact=amount.net,
            tax_exact=amount.tax,
        )
        for (vat, amount), net, tax in zip(groups.items(), nets, taxes, strict=True)
    )


def _taxless(buckets: Buckets) -> bool:
    return any(vat is None and amount.net for (_, vat), amount in buckets.items())


def _notes(
    usage: Usage, tariff: Tariff, trace: Trace, segments: tuple[Segment, ...], *, waived: bool
) -> Iterator[Note]:
    """What happened to the session, what was not known and what does not fit."""
    yield from (segment.note for segment in segments if segment.note)
    if waived:
        yield Note.WAIVED
    if trace.is_power_missed:
        yield Note.POWER_UNKNOWN
    if trace.is_current_missed:
        yield Note.CURRENT_UNKNOWN
    if usage.periods and not _valid_at_start(usage, tariff):
        yield Note.OUTSIDE_VALIDITY


def _valid_at_start(usage: Usage, tariff: Tariff) -> bool:
    start = usage.periods[0].start
    return (tariff.valid_from is None or start >= tariff.valid_from) and (
        tariff.valid_to is None or start < tariff.valid_to
    )
