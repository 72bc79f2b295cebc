"""Documents of nobody, to see what a template makes of each kind. Pure; everybody in them is made up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final
from zoneinfo import ZoneInfo

from billing.documents.brand import Brand
from billing.documents.words import words_of
from billing.invoices.document import (
    Address,
    BankAccount,
    BornePart,
    ComponentDetail,
    DirectDebit,
    Document,
    DocumentForm,
    DocumentKind,
    GroupBy,
    Line,
    LineKind,
    Party,
    Reference,
    SessionDetail,
    Tax,
    TaxGroup,
    TaxMode,
)
from billing.money import Money, allocate, round_units

MONTH: Final = (date(2026, 10, 1), date(2026, 10, 31))
PRICE_PER_KWH: Final = Decimal("0.49")
PRICE_PER_HOUR: Final = Decimal("6.00")
CURRENCY: Final = "EUR"
LATE: Final = 4
"""This session of a month was told only after its period."""


class SampleKind(StrEnum):
    """What there are samples of."""

    INVOICE = "invoice"
    """To a business, a month of sessions and a fee, to be transferred."""
    DEBIT = "debit"
    """To a driver, with tax in the prices, collected by direct debit."""
    REVERSE_CHARGE = "reverse-charge"
    """To a business of another country, which owes the tax."""
    CREDIT_NOTE = "credit-note"
    RECEIPT = "receipt"
    """Of one session without contract, paid by card."""
    SELF_BILLING = "self-billing"
    """To the owner of a site, written by us in its name."""
    FLEET = "fleet"
    """Long: by cost centre and driver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """Where a sample plays: who sells, at which rate, and in whose time."""

    seller: Party
    iban: str
    bic: str
    rate: Decimal
    zone: str
    customer: Party
    site: str


def _party(name: str, street: str, postal_code: str, city: str, country: str, **more: str) -> Party:
    address = Address(street=street, postal_code=postal_code, city=city, country=country)
    return Party(name=name, address=address, **more)


_SCENES: Final = {
    "de": _Scene(
        seller=_party(
            "Musterstrom Ladenetz GmbH", "Musterstraße 1", "12345", "Musterstadt", "DE",
            vat_id="DE123456788", tax_number="12/345/67890", register="HRB 12345, Amtsgericht Musterstadt",
            contact="Kundendienst", phone="+49 30 5550100", email="service@musterstrom.example",
        ),
        iban="DE89370400440532013000", bic="COBADEFFXXX", rate=Decimal(19), zone="Europe/Berlin",
        customer=_party(
            "Beispiel Logistik GmbH & Co. KG", "Übungsallee 42", "54321", "Beispielhausen", "DE", vat_id="DE987654321"
        ),
        site="Parkhaus Am Hafen",
    ),
    "en": _Scene(
        seller=_party(
            "Example Charging Ltd", "1 Sample Quay", "D02 XX01", "Dublin", "IE",
            vat_id="IE1234567T", register="Company no. 123456, Dublin", contact="Customer service",
            phone="+353 1 555 0100", email="help@example-charging.example",
        ),
        iban="IE29AIBK93115212345678", bic="AIBKIE2D", rate=Decimal(23), zone="Europe/Dublin",
        customer=_party(
            "Fictitious Deliveries Ltd", "42 Nowhere Lane", "T12 XX99", "Cork", "IE", vat_id="IE7654321T"
        ),
        site="Harbour Car Park",
    ),
    "fr": _Scene(
        seller=_party(
            "Exemple Recharge SAS", "1 rue Exemple", "75000", "Paris", "FR",
            vat_id="FR12345678901", register="RCS Paris 123 456 789, capital 10 000 €", contact="Service clients",
            phone="+33 1 55 50 01 00", email="service@exemple-recharge.example",
        ),
        iban="FR1420041010050500013M02606", bic="PSSTFRPPPAR", rate=Decimal(20), zone="Europe/Paris",
        customer=_party(
            "Société Fictive de Livraison", "42 avenue de Nulle-Part", "69000", "Lyon", "FR", vat_id="FR10987654321"
        ),
        site="Parking du Port",
    ),
    "nl": _Scene(
        seller=_party(
            "Voorbeeld Laden B.V.", "Voorbeeldkade 1", "1000 AA", "Amsterdam", "NL",
            vat_id="NL123456789B01", register="KvK 12345678", contact="Klantenservice", phone="+31 20 555 0100",
            email="service@voorbeeld-laden.example",
        ),
        iban="NL91ABNA0417164300", bic="ABNANL2A", rate=Decimal(21), zone="Europe/Amsterdam",
        customer=_party(
            "Fictieve Bezorging B.V.", "Nergensstraat 42", "3500 ZZ", "Utrecht", "NL", vat_id="NL987654321B01"
        ),
        site="Parkeergarage De Haven",
    ),
}  # fmt: skip
_ABROAD: Final = _party(
    "Mustermann Spedition AG", "Probeweg 7", "1010", "Wien", "AT", vat_id="ATU12345678"
)  # fmt: skip
_DRIVER: Final = {
    "de": "Erika Mustermann", "en": "Pat Sample", "fr": "Camille Exemple", "nl": "Robin Voorbeeld",
}  # fmt: skip
_COUNCIL: Final = {
    "de": "Stadt Beispielhausen", "en": "Sample City Council", "fr": "Commune Exemple", "nl": "Gemeente Voorbeeld",
}  # fmt: skip
_DRIVERS: Final = ("A. Alpha", "B. Beta", "C. Gamma", "D. Delta", "E. Epsilon")
_CENTRES: Final = ("4100", "4200", "4300")


def sample_brand(language: str) -> Brand:
    """That of the samples, unless another is given."""
    seller = _SCENES[language].seller
    return Brand(id="sample", name=seller.name, sender=(seller.phone or "", seller.email or ""))


def sample(kind: SampleKind, language: str) -> Document:
    """Raises: Refused: there are no words in this language."""
    words_of(language, None)
    return _MAKERS[kind](language)


def _session(scene: _Scene, n: int, language: str, *, with_tax: bool = False) -> Line:
    """The n-th session of a month; amounts follow from its energy and its time at the charge point after charging."""
    zone = ZoneInfo(scene.zone)
    is_late = n == LATE
    day = date(2026, 9, 28) if is_late else date(2026, 10, 1 + (n * 3) % 30)
    started_at = datetime.combine(day, time(6 + (n * 5) % 14, (n * 17) % 60, (n * 29) % 60), zone)
    energy_wh = 8_120 + (n * 7_919) % 41_000
    minutes = 31 + (n * 13) % 97
    parked_min = 30 if n % 4 == 1 else 0
    register_wh = 1_204_417 + n * 57_000
    parts = [_component("energy", Decimal(energy_wh).scaleb(-3), "kWh", PRICE_PER_KWH)]
    if parked_min:
        parts.append(_component("parking", Decimal(parked_min) / 60, "h", PRICE_PER_HOUR))
    amount = sum(round_units(Fraction(Decimal(each.amount)) * 100) for each in parts)
    kwh = Decimal(energy_wh).scaleb(-3)
    detail = SessionDetail(
        session=4711 + n,
        bill=9001 + n,
        site=scene.site,
        charge_point=f"CP-{1 + n % 7:03}",
        evse=1 + n % 2,
        started_at=started_at,
        ended_at=started_at + timedelta(minutes=minutes + parked_min, seconds=(n * 11) % 60),
        energy_wh=energy_wh,
        tariff="STREET-2026",
        tariff_version=3,
        meter_start_wh=register_wh,
        meter_stop_wh=register_wh + energy_wh,
        meter_serial=f"1EXM00012{3400 + n % 7}",
        energy_source="signed",
        token="••••C0DE",  # noqa: S106 - masked, and nobody's
        components=tuple(parts),
        late=is_late,
    )
    name = f"{words_of(language, None)('line_kind', 'session')} {scene.site}"
    return Line(
        position=n + 1, kind=LineKind.SESSION, source=f"bill:{9001 + n}:1", name=name, quantity=kwh, unit="KWH",
        unit_price=None if parked_min else PRICE_PER_KWH, tax=Tax("S", scene.rate),
        net_minor=0 if with_tax else amount, tax_minor=0, gross_minor=amount, session=detail,
    )  # fmt: skip


def _component(name: str, quantity: Decimal, unit: str, price: Decimal) -> ComponentDetail:
    amount = Money.round_from(quantity * price, CURRENCY).text
    return ComponentDetail(name=name, quantity=quantity, unit=unit, price=price, amount=amount)


def _fee(scene: _Scene, position: int, language: str, *, net_minor: int, discount_minor: int = 0) -> Line:
    words = words_of(language, None)
    amount = net_minor - discount_minor
    return Line(
        position=position, kind=LineKind.SUBSCRIPTION, source="subscription:12:2026-10",
        name=words("line_kind", "subscription"), quantity=Decimal(1), unit="MON",
        unit_price=Decimal(net_minor).scaleb(-2), tax=Tax("S", scene.rate), net_minor=amount, tax_minor=0,
        gross_minor=amount, days=MONTH, discount_minor=discount_minor,
        discount_name=words("label", "discount") + " 10 %" if discount_minor else None,
    )  # fmt: skip


def _taxed(lines: Sequence[Line], mode: TaxMode) -> tuple[tuple[Line, ...], tuple[TaxGroup, ...]]:
    """Amounts of `gross_minor` as they stand are meant with or without tax, as the mode says; the other side follows."""
    by_tax: dict[Tax, list[Line]] = {}
    for line in lines:
        by_tax.setdefault(line.tax, []).append(line)
    done: list[Line] = []
    found = []
    for tax, members in sorted(by_tax.items(), key=lambda each: each[0].order):
        given = [line.gross_minor for line in members]
        whole, rate = sum(given), Fraction(tax.rate) / 100
        if mode is TaxMode.KEEP_GROSS:
            net = round_units(Fraction(whole) / (1 + rate))
            nets = allocate(net, given)
            pairs = [(part, amount - part) for part, amount in zip(nets, given, strict=True)]
        else:
            taxes = allocate(round_units(whole * rate), given)
            pairs = list(zip(given, taxes, strict=True))
        done += [
            replace(line, net_minor=net, tax_minor=part, gross_minor=net + part)
            for line, (net, part) in zip(members, pairs, strict=True)
        ]
        found.append(
            TaxGroup(tax=tax, net_minor=sum(net for net, _ in pairs), tax_minor=sum(part for _, part in pairs))
        )
    return tuple(sorted(done, key=lambda line: line.position)), tuple(found)


def _invoice(language: str) -> Document:
    scene = _SCENES[language]
    own = [_session(scene, n, language) for n in range(6)]
    lines, groups = _taxed(
        [*own, _fee(scene, 7, language, net_minor=2_900, discount_minor=290)], TaxMode.SUM_THEN_ROUND
    )
    return Document(
        kind=DocumentKind.INVOICE, form=DocumentForm.FULL, number="RE-2026-000123", issued_on=date(2026, 11, 2),
        days=MONTH, currency=CURRENCY, tax_mode=TaxMode.SUM_THEN_ROUND, language=language, seller=scene.seller,
        buyer=scene.customer, lines=lines, tax_groups=groups, due_on=date(2026, 11, 16), account="K-10042",
        buyer_reference="991-12345-67", order_reference="PO-2026-77", contract_reference="V-2025-9",
        bank=BankAccount(iban=scene.iban, holder=scene.seller.name, bic=scene.bic),
    )  # fmt: skip


def _debit(language: str) -> Document:
    scene = _SCENES[language]
    own = [_session(scene, n, language, with_tax=True) for n in range(4)]
    lines, groups = _taxed(own, TaxMode.KEEP_GROSS)
    home = scene.customer.address
    return replace(
        _invoice(language), number="RE-2026-000124", tax_mode=TaxMode.KEEP_GROSS, lines=lines, tax_groups=groups,
        buyer=Party(name=_DRIVER[language], address=home), account="K-10043", buyer_reference=None,
        order_reference=None, contract_reference=None, bank=None,
        direct_debit=DirectDebit(mandate="M-2025-0815", creditor_id="DE98ZZZ09999999999", iban="•••• •••• 3000"),
        borne=(BornePart(party=_COUNCIL[language], label="2026", amount_minor=500),),
    )  # fmt: skip


def _reverse_charge(language: str) -> Document:
    scene = _SCENES[language]
    own = [replace(_session(scene, n, language), tax=Tax("AE", Decimal(0))) for n in range(3)]
    lines, groups = _taxed(own, TaxMode.SUM_THEN_ROUND)
    return replace(
        _invoice(language), number="RE-2026-000125", lines=lines, tax_groups=groups, buyer=_ABROAD, account="K-10044"
    )


def _credit_note(language: str) -> Document:
    invoice = _invoice(language)
    lines, groups = _taxed(
        [
            replace(line, position=position, gross_minor=line.net_minor)
            for position, line in enumerate(invoice.lines[1:3], start=1)
        ],
        TaxMode.SUM_THEN_ROUND,
    )
    return replace(
        invoice, kind=DocumentKind.CREDIT_NOTE, number="RK-2026-000017", issued_on=date(2026, 11, 9), lines=lines,
        tax_groups=groups, due_on=None, bank=None, corrects=Reference(number=invoice.number, issued_on=invoice.issued_on),
        reason={"de": "Zähler zeigte zu viel an", "en": "The meter read too high", "fr": "Le compteur affichait trop",
                "nl": "De meter wees te veel aan"}[language],
    )  # fmt: skip


def _receipt(language: str) -> Document:
    scene = _SCENES[language]
    lines, groups = _taxed([replace(_session(scene, 1, language, with_tax=True), position=1)], TaxMode.KEEP_GROSS)
    detail = lines[0].session
    assert detail is not None, "it is of a session"
    day = detail.ended_at.date()
    return Document(
        kind=DocumentKind.INVOICE, form=DocumentForm.SIMPLIFIED, number="B-2026-004711", issued_on=day, days=(day, day),
        currency=CURRENCY, tax_mode=TaxMode.KEEP_GROSS, language=language, seller=scene.seller, buyer=None,
        lines=lines, tax_groups=groups, paid_minor=sum(each.gross_minor for each in groups), paid_how="Visa •••• 4242",
    )  # fmt: skip


def _self_billing(language: str) -> Document:
    scene = _SCENES[language]
    lines, groups = _taxed([_session(scene, n, language) for n in range(5)], TaxMode.SUM_THEN_ROUND)
    return Document(
        kind=DocumentKind.INVOICE, form=DocumentForm.SELF_BILLED, number="GS-2026-000031", issued_on=date(2026, 11, 2),
        days=MONTH, currency=CURRENCY, tax_mode=TaxMode.SUM_THEN_ROUND, language=language, seller=scene.customer,
        buyer=scene.seller, lines=lines, tax_groups=groups, due_on=date(2026, 11, 30), account="P-2007",
        contract_reference="P-2025-3", bank=BankAccount(iban=scene.iban, holder=scene.customer.name, bic=scene.bic),
    )  # fmt: skip


def _fleet(language: str) -> Document:
    scene = _SCENES[language]
    own = []
    for n in range(60):
        labels = {GroupBy.COST_CENTRE.value: _CENTRES[n // 20], GroupBy.DRIVER.value: _DRIVERS[n // 12]}
        own.append(replace(_session(scene, n, language), labels=labels))
    own.append(replace(_fee(scene, 61, language, net_minor=49_900)))
    lines, groups = _taxed(own, TaxMode.SUM_THEN_ROUND)
    return replace(
        _invoice(language), number="RE-2026-000126", lines=lines, tax_groups=groups,
        grouped_by=(GroupBy.COST_CENTRE, GroupBy.DRIVER),
    )  # fmt: skip


_MAKERS: Final[dict[SampleKind, Callable[[str], Document]]] = {
    SampleKind.INVOICE: _invoice,
    SampleKind.DEBIT: _debit,
    SampleKind.REVERSE_CHARGE: _reverse_charge,
    SampleKind.CREDIT_NOTE: _credit_note,
    SampleKind.RECEIPT: _receipt,
    SampleKind.SELF_BILLING: _self_billing,
    SampleKind.FLEET: _fleet,
}
