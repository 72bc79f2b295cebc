"""Documents to make e-invoices of: parties, lines and a builder that adds up as the books do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

from billing.invoices.document import (
    Address,
    BankAccount,
    DirectDebit,
    Document,
    DocumentForm,
    DocumentKind,
    Line,
    LineKind,
    Party,
    Reference,
    SessionDetail,
    Tax,
    TaxGroup,
    TaxMode,
)
from billing.money import allocate, minor_digits, round_units

S19 = Tax("S", Decimal(19))
S7 = Tax("S", Decimal(7))
REVERSE = Tax("AE", Decimal(0), "Reverse charge")
INTRA = Tax("K", Decimal(0), "Intra-community supply, exempt from VAT")
EXPORT = Tax("G", Decimal(0), "Export, exempt from VAT")
EXEMPT = Tax("E", Decimal(0), "Exempt under section 4")
SCOPELESS = Tax("O", Decimal(0), "Not subject to VAT")
ZERO = Tax("Z", Decimal(0))
CANARY = Tax("L", Decimal(7))
CEUTA = Tax("M", Decimal(10))

MARCH = (date(2026, 3, 1), date(2026, 3, 31))

SELLER = Party(
    name="Example Charging GmbH",
    address=Address(street="Musterstrasse 1", city="Berlin", country="DE", postal_code="10115"),
    vat_id="DE123456789",
    tax_number="27/123/45678",
    register="HRB 12345 B, Amtsgericht Charlottenburg",
    contact="Sam Sample",
    phone="+49 30 1234567",
    email="billing@charging.example",
    electronic_address="DE123456789",
    electronic_scheme="9930",
)
BUYER = Party(
    name="Sample Logistics AG",
    address=Address(street="Beispielweg 2", city="Hamburg", country="DE", postal_code="20095", further="Building 3"),
    vat_id="DE987654321",
    email="invoices@logistics.example",
    electronic_address="04011000-1234512345-06",
    electronic_scheme="0204",
)
BELGIAN = Party(
    name="Voorbeeld NV",
    address=Address(street="Voorbeeldstraat 3", city="Gent", country="BE", postal_code="9000"),
    vat_id="BE0123456749",
    register="0123.456.749",
    email="factuur@voorbeeld.example",
    electronic_address="0123456749",
    electronic_scheme="0208",
)
DUTCH = Party(
    name="Laadvoorbeeld B.V.",
    address=Address(street="Proefkade 4", city="Utrecht", country="NL", postal_code="3511 AA"),
    vat_id="NL123456789B01",
    register="KVK 12345678",
    email="facturen@laadvoorbeeld.example",
    electronic_address="12345678",
    electronic_scheme="0106",
)
DANISH = Party(
    name="Eksempel Opladning ApS",
    address=Address(street="Prøvegade 5", city="København", country="DK", postal_code="1050"),
    vat_id="DK12345678",
    register="CVR 12345678",
    electronic_address="DK12345678",
    electronic_scheme="0184",
)
ITALIAN = Party(
    name="Esempio Ricarica S.r.l.",
    address=Address(street="Via Prova 6", city="Milano", country="IT", postal_code="20121", region="MI"),
    vat_id="IT12345670017",
    tax_number="12345670017",
    electronic_address="IT12345670017",
    electronic_scheme="0211",
)
SWISS = Party(
    name="Muster Energie AG",
    address=Address(street="Probegasse 7", city="Zürich", country="CH", postal_code="8001"),
    vat_id="CHE123456789",
    electronic_address="CHE123456789",
    electronic_scheme="9927",
)
BANK = BankAccount(iban="DE02 1203 0000 0000 2020 51", holder="Example Charging GmbH", bic="BYLADEM1001")
DEBIT = DirectDebit(mandate="M-2026-17", creditor_id="DE98ZZZ09999999999", iban="DE27 3705 0198 0000 0001 23")


@dataclass(frozen=True, kw_only=True)
class Item:
    """A line before it is added up: its price is with tax where the document keeps gross."""

    name: str = "Charging"
    quantity: Decimal = Decimal("10.000")
    unit: str = "KWH"
    price: Decimal | None = Decimal("0.59")
    amount_minor: int | None = None
    """What it costs where there is no single price; before the discount."""
    tax: Tax = S19
    discount_minor: int = 0
    discount_name: str | None = None
    description: str | None = None
    kind: LineKind = LineKind.SESSION
    days: tuple[date, date] | None = (date(2026, 3, 14), date(2026, 3, 14))
    labels: Mapping[str, str] = field(default_factory=dict)
    session: SessionDetail | None = None

    def before(self, currency: str) -> int:
        if self.amount_minor is not None:
            return self.amount_minor
        assert self.price is not None
        return round_units(Fraction(self.quantity * self.price) * 10 ** minor_digits(currency))


def session(**changes: Any) -> SessionDetail:
    """One in the hour that comes twice, by the clock of its site."""
    summer = timezone(timedelta(hours=2))
    begun = datetime(2026, 10, 25, 0, 30, tzinfo=UTC).astimezone(summer)
    told: dict[str, Any] = {
        "session": 41,
        "bill": 17,
        "site": "Depot Harbour",
        "charge_point": "CP-7",
        "evse": 2,
        "started_at": begun,
        "ended_at": (begun + timedelta(hours=1)).astimezone(timezone(timedelta(hours=1))),
        "energy_wh": 10_000,
        "tariff": "evening",
        "tariff_version": 3,
        "meter_start_wh": 1_234_567,
        "meter_stop_wh": 1_244_567,
        "meter_serial": "1EMH0012345678",
        "token": "04A2****F1",
    }
    return SessionDetail(**{**told, **changes})


def paper(items: Iterable[Item], **changes: Any) -> Document:
    """A document of these lines, added up after its tax mode."""
    mode: TaxMode = changes.pop("tax_mode", TaxMode.SUM_THEN_ROUND)
    currency: str = changes.get("currency", "EUR")
    chosen = list(items)
    after = [item.before(currency) - item.discount_minor for item in chosen]
    groups: list[TaxGroup] = []
    nets, taxes = [0] * len(chosen), [0] * len(chosen)
    for tax in sorted({item.tax for item in chosen}, key=lambda tax: tax.order):
        places = [place for place, item in enumerate(chosen) if item.tax == tax]
        group = _group(tax, [after[place] for place in places], mode)
        groups.append(group)
        split = _split(group, [after[place] for place in places], mode)
        for place, (net, due) in zip(places, split, strict=True):
            nets[place], taxes[place] = net, due
    lines = [
        _line(position, item, net, due)
        for position, (item, net, due) in enumerate(zip(chosen, nets, taxes, strict=True), 1)
    ]
    told: dict[str, Any] = {
        "kind": DocumentKind.INVOICE,
        "form": DocumentForm.FULL,
        "number": "R-2026-0017",
        "issued_on": date(2026, 4, 2),
        "days": MARCH,
        "currency": currency,
        "language": "en",
        "seller": SELLER,
        "buyer": BUYER,
        "due_on": date(2026, 4, 16),
        "account": "C-100",
        "buyer_reference": "04011000-1234512345-06",
        "bank": BANK,
    }
    return Document(tax_mode=mode, lines=tuple(lines), tax_groups=tuple(groups), **{**told, **changes})


def credit_note(items: Iterable[Item], **changes: Any) -> Document:
    """One that takes back an invoice of the month before."""
    told: dict[str, Any] = {
        "kind": DocumentKind.CREDIT_NOTE,
        "number": "G-2026-0003",
        "due_on": None,
        "corrects": Reference(number="R-2026-0009", issued_on=date(2026, 3, 2)),
        "reason": "The meter was exchanged",
    }
    return paper(items, **{**told, **changes})


def _line(position: int, item: Item, net: int, due: int) -> Line:
    return Line(
        position=position,
        kind=item.kind,
        source=f"bill:{position}:1",
        name=item.name,
        quantity=item.quantity,
        unit=item.unit,
        unit_price=item.price,
        tax=item.tax,
        net_minor=net,
        tax_minor=due,
        gross_minor=net + due,
        discount_minor=item.discount_minor,
        discount_name=item.discount_name,
        description=item.description,
        days=item.days,
        labels=dict(item.labels),
        session=item.session,
    )


def _due(net: int, tax: Tax) -> int:
    return round_units(Fraction(net) * Fraction(tax.rate) / 100)


def _group(tax: Tax, amounts: list[int], mode: TaxMode) -> TaxGroup:
    total = sum(amounts)
    if mode is TaxMode.KEEP_GROSS:
        net = round_units(Fraction(total) / (1 + Fraction(tax.rate) / 100))
        return TaxGroup(tax=tax, net_minor=net, tax_minor=total - net)
    due = sum(_due(each, tax) for each in amounts) if mode is TaxMode.PER_LINE else _due(total, tax)
    return TaxGroup(tax=tax, net_minor=total, tax_minor=due)


def _split(group: TaxGroup, amounts: list[int], mode: TaxMode) -> list[tuple[int, int]]:
    """Net and tax of each line, which add up to the group's; a line below zero bears no part of what is left over."""
    weights = [max(each, 0) for each in amounts]
    match mode:
        case TaxMode.KEEP_GROSS:
            nets = allocate(group.net_minor, weights)
            return [(net, amount - net) for net, amount in zip(nets, amounts, strict=True)]
        case TaxMode.PER_LINE:
            return [(amount, _due(amount, group.tax)) for amount in amounts]
        case TaxMode.SUM_THEN_ROUND:
            return list(zip(amounts, allocate(group.tax_minor, weights), strict=True))


def without(party: Party, *names: str) -> Party:
    """The same party, of whom less is known."""
    return replace(party, **dict.fromkeys(names))
