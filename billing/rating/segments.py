"""From spans to lines: what each costs, exactly. Rounds nothing, and knows no limit and no total."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from billing.money import micro_decimal
from billing.rating.instants import instant
from billing.rating.limits import Amount, Buckets, split_tax
from billing.rating.matching import MICRO
from billing.rating.rating import PER_PRICE, UNITS, Note, Segment, component_of
from billing.rating.spans import Span
from billing.rating.terms import Terms
from billing.tariffs.tariff import Component, TaxIncluded


def segment_of(span: Span, tax_included: TaxIncluded, terms: Terms) -> Segment:
    """The line that a span becomes."""
    component = span.component
    vat = None if component is None else _vat_of(span, component, tax_included, terms)
    amount = Amount() if component is None else _price(span, component, vat, tax_included)
    return Segment(
        phase=span.phase,
        dimension=span.dimension,
        element=span.element,
        start=instant(span.start),
        end=instant(span.end),
        quantity_used=micro_decimal(span.used),
        quantity_billed=micro_decimal(span.billed),
        unit_price=None if component is None else component.price,
        vat=vat,
        excl_tax=amount.net,
        incl_tax=amount.gross,
        note=_note(span),
    )


def _note(span: Span) -> Note | None:
    if span.billed > span.used:
        return Note.STEP_SURPLUS
    if span.special is not None:
        return Note(span.special.value)
    return Note.FREE if span.component is None else None


def _vat_of(span: Span, component: Component, tax_included: TaxIncluded, terms: Terms) -> Decimal | None:
    """The rate of a span: the rule's, else the tariff's; none where the tariff says that no tax applies."""
    if tax_included is TaxIncluded.NOT_APPLICABLE:
        return None
    tax = terms.tax_of(component_of(span.phase, span.dimension)) if terms.taxes else None
    return component.vat if tax is None else tax.rate


def _price(span: Span, component: Component, vat: Decimal | None, tax_included: TaxIncluded) -> Amount:
    """Quantity times price; tax on top, taken out of the price, or none, exactly."""
    price, per = component.price.as_integer_ratio()
    amount = Fraction(span.billed * price, MICRO * PER_PRICE[UNITS[span.dimension]] * per)
    return split_tax(amount, vat, tax_included)


def add_to(buckets: Buckets, segment: Segment) -> None:
    """Put a line's amount to those of its component and rate."""
    if segment.unit_price is not None:
        key = (segment.component, segment.vat)
        amount = Amount(segment.excl_tax, segment.incl_tax - segment.excl_tax)
        buckets[key] = buckets[key] + amount if key in buckets else amount
