"""A line of a document as a line of EN 16931: quantity, price without VAT, allowance, and what it tells of its session. Pure.

The net of a line is what the document says and is never worked out anew. Quantity and price are those of the document where
their product, rounded to the currency, is that net before the discount; else the line is one piece at its net, and tells its real quantity as an
attribute. So BT-131 always is quantity times price less allowance (PEPPOL-EN16931-R120), to the cent.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final

from billing.e_invoices.characters import cleaned, said
from billing.e_invoices.model import Allowance, InvoiceLine, Period, Vat
from billing.e_invoices.words import Words
from billing.invoices.document import GroupBy, Line, SessionDetail, Tax, TaxMode
from billing.money import Money, round_units

OUT_OF_SCOPE: Final = "O"
DISCOUNT: Final = "95"
"""UNTDID 5189."""
PRICE_PLACES: Final = 6
"""Decimals of a price that had to be freed from VAT."""
LINE_TOLERANCE: Final = Fraction(2, 100)
"""So far may the net of a line be from quantity times price, in any currency (PEPPOL-EN16931-R120)."""
_ONE: Final = "C62"
_KILO: Final = 3


def vat_of(tax: Tax) -> Vat:
    """Category and rate; what is out of scope has no rate, not even zero (BR-O-05)."""
    return Vat(category=tax.category, rate=None if tax.category == OUT_OF_SCOPE else tax.rate)


def invoice_line(line: Line, mode: TaxMode, currency: str, words: Words) -> InvoiceLine:
    """One line in the terms of EN 16931."""
    assert line.discount_minor >= 0, "a discount takes off"
    discount = Money(_without_vat(line.discount_minor, line.tax, mode), currency).decimal
    net = Money(line.net_minor, currency).decimal
    quantity, unit, price = _priced(line, _unit_price(line, mode), net + discount, currency)
    name = cleaned(line.discount_name) or words.discount
    return InvoiceLine(
        id=str(line.position),
        name=said(line.name),
        quantity=quantity,
        unit=unit,
        price=price,
        net=net,
        vat=vat_of(line.tax),
        allowance=Allowance(amount=discount, reason=name, code=DISCOUNT) if discount else None,
        description=_description(line, words),
        period=Period(start=line.days[0], end=line.days[1]) if line.days else None,
        accounting=cleaned(line.labels.get(GroupBy.COST_CENTRE)),
        attributes=tuple(_attributes(line, words, told=unit == line.unit)),
    )


def _without_vat(minor: int, tax: Tax, mode: TaxMode) -> int:
    if mode is not TaxMode.KEEP_GROSS:
        return minor
    return round_units(Fraction(minor) / _factor(tax))


def _factor(tax: Tax) -> Fraction:
    return 1 + Fraction(tax.rate) / 100


def _unit_price(line: Line, mode: TaxMode) -> Decimal | None:
    """The price of one unit without VAT; None where there is none, or one below zero, which BR-27 forbids."""
    price = line.unit_price
    if price is None or price < 0:
        return None
    if mode is not TaxMode.KEEP_GROSS or not line.tax.rate:
        return price
    exact = Fraction(price) / _factor(line.tax)
    return Decimal(round_units(exact * 10**PRICE_PLACES)).scaleb(-PRICE_PLACES)


def _priced(line: Line, price: Decimal | None, before: Decimal, currency: str) -> tuple[Decimal, str, Decimal]:
    """Quantity, unit and price whose product is the net before the allowance."""
    if not before:
        return line.quantity or Decimal(1), line.unit, Decimal(0)
    if price is not None and _gives(Fraction(line.quantity) * Fraction(price), before, currency):
        return line.quantity, line.unit, price
    return Decimal(1 if before > 0 else -1), _ONE, abs(before)


def _gives(product: Fraction, before: Decimal, currency: str) -> bool:
    """Whether it is that amount once it is rounded, and near it before: of yen, half of one is too far."""
    rounded = Money.round_from(product, currency).decimal
    return rounded == before and abs(product - Fraction(before)) <= LINE_TOLERANCE


def _description(line: Line, words: Words) -> str | None:
    parts = [cleaned(line.description), _session(line.session, words) if line.session else None]
    return ". ".join(part for part in parts if part) or None


def _session(session: SessionDetail, words: Words) -> str:
    """Where, when and how much, as one line."""
    place = session.charge_point if session.evse is None else f"{session.charge_point}/{session.evse}"
    parts = [
        session.site,
        f"{words.charge_point} {place}",
        f"{_local(session.started_at)} - {_local(session.ended_at)}",
        f"{_kwh(session.energy_wh)} kWh",
    ]
    if session.meter_start_wh is not None and session.meter_stop_wh is not None:
        parts.append(words.meter.format(start=_kwh(session.meter_start_wh), stop=_kwh(session.meter_stop_wh)))
    if session.meter_serial:
        parts.append(f"{words.meter_serial} {session.meter_serial}")
    if session.late:
        parts.append(words.late)
    return said(", ".join(parts))


def _local(at: datetime) -> str:
    """By the clock of the site, with its offset, so that the hour that comes twice is told apart."""
    offset = f"{at:%z}"
    return f"{at:%Y-%m-%d %H:%M} {offset[:3]}:{offset[3:5]}"


def _kwh(energy_wh: int) -> str:
    return f"{Decimal(energy_wh).scaleb(-_KILO):f}"


def _attributes(line: Line, words: Words, *, told: bool) -> list[tuple[str, str]]:
    """What a receiver may sort by, and the real quantity where the line does not tell it."""
    unit = "kWh" if line.unit == "KWH" else line.unit
    found = [] if told else [(words.quantity, f"{line.quantity:f} {unit}")]
    found += [(word, line.labels.get(label, "")) for label, word in words.groups.items()]
    if line.session is not None:
        found.append((words.tariff, f"{line.session.tariff} v{line.session.tariff_version}"))
        found.append((words.token, line.session.token or ""))
    return [(name, value) for name, text in found if (value := cleaned(text))]
