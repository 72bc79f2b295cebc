"""Charges for tests: valid by default, and of every kind for Hypothesis."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from hypothesis import strategies as st

from billing.invoices.charge import BilledCharge, PricedCharge, TaxedPart
from billing.invoices.composition import Composed, TaxedCharge
from billing.invoices.document import (
    Document,
    DocumentForm,
    DocumentKind,
    LineKind,
    Party,
    SessionDetail,
    Tax,
    TaxMode,
)
from billing.money import round_units

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
GERMAN = Tax("S", Decimal(19))
REDUCED = Tax("S", Decimal(7))
ODD = Tax("S", Decimal("5.5"))
ZERO = Tax("Z", Decimal(0))
REVERSE = Tax("AE", Decimal(0), "Reverse charge")
TAXES = (GERMAN, REDUCED, ODD, ZERO, REVERSE)
CURRENCIES = ("EUR", "JPY", "KWD")


def part_of_gross(gross: int, tax: Tax = GERMAN) -> TaxedPart:
    net = round_units(gross / (1 + Fraction(tax.rate) / 100))
    return TaxedPart(tax=tax, net_minor=net, tax_minor=gross - net)


def part_of_net(net: int, tax: Tax = GERMAN) -> TaxedPart:
    return TaxedPart(tax=tax, net_minor=net, tax_minor=round_units(net * Fraction(tax.rate) / 100))


def billed(n: int, *parts: TaxedPart, with_tax: bool = True, currency: str = "EUR", **labels: str) -> BilledCharge:
    """A session of an hour and ten kWh that ended n hours after noon."""
    end = NOON + timedelta(hours=n)
    return BilledCharge(
        source=f"bill:{n}:1", account="C-1", currency=currency, name="Charging", price_with_tax=with_tax, parts=parts,
        day=end.date(), labels=labels,
        session=SessionDetail(
            session=n, bill=1, site="Depot", charge_point="CP-1", evse=1, started_at=end - timedelta(hours=1), ended_at=end,
            energy_wh=10_000, tariff="flat", tariff_version=1,
        ),
    )  # fmt: skip


def priced(
    n: int, price: str, *, quantity: str = "1", with_tax: bool = False, tax: Tax = GERMAN, currency: str = "EUR"
) -> TaxedCharge:
    return TaxedCharge(
        charge=PricedCharge(
            source=f"item:{n}", kind=LineKind.ITEM, account="C-1", currency=currency, name="Inspection",
            quantity=Decimal(quantity), unit="C62", unit_price=Decimal(price), price_with_tax=with_tax, supply="service",
            country="DE", tax_point=date(2026, 3, 2), due_on=date(2026, 3, 2),
        ),
        tax=tax,
    )  # fmt: skip


@st.composite
def charges_with_refunds(draw: st.DrawFn, currency: str) -> list[BilledCharge | TaxedCharge]:
    """Some charges, and beside items what gives a part of them back under the same tax."""
    found = draw(some_charges(currency))
    for n, each in enumerate([each for each in found if isinstance(each, TaxedCharge)]):
        if draw(st.booleans()):
            back = draw(st.integers(1, int(each.charge.quantity)))
            part = replace(each.charge, source=f"back:{n}", quantity=Decimal(-back))
            found.append(replace(each, charge=part))
    return found


@st.composite
def some_charges(draw: st.DrawFn, currency: str) -> list[BilledCharge | TaxedCharge]:
    """Sessions under one or two taxes and items, at most a dozen."""
    found: list[BilledCharge | TaxedCharge] = []
    count = draw(st.integers(1, 12))
    for n in range(count):
        taxes = draw(st.lists(st.sampled_from(TAXES), min_size=1, max_size=2, unique=True))
        amounts = st.integers(0, 5_000)
        if draw(st.booleans()):
            with_tax = draw(st.booleans())
            made = part_of_gross if with_tax else part_of_net
            found.append(
                billed(n, *(made(draw(amounts), tax) for tax in taxes), with_tax=with_tax, currency=currency,
                       cost_centre=draw(st.sampled_from(["", "4711", "4712"])))
            )  # fmt: skip
        else:
            price = Decimal(draw(st.integers(0, 500_000))) / 10_000
            found.append(
                priced(n, str(price), quantity=str(draw(st.integers(1, 9))), with_tax=draw(st.booleans()), tax=taxes[0],
                       currency=currency)
            )  # fmt: skip
    return found


def document_of(composed: Composed, mode: TaxMode, currency: str = "EUR", **more: object) -> Document:
    """An invoice with these figures."""
    return Document(
        kind=DocumentKind.INVOICE, form=DocumentForm.FULL, number="R-1", issued_on=date(2026, 4, 1),
        days=(date(2026, 3, 1), date(2026, 3, 31)), currency=currency, tax_mode=mode, language="en",
        seller=Party(name="Northern Example Energy GmbH", address=None), buyer=None, lines=composed.lines,
        tax_groups=composed.tax_groups, **more,
    )  # type: ignore[arg-type]  # fmt: skip
