"""A session's final bill as a charge: what was told to the driver, under the taxes that were found for it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from billing.invoices import words
from billing.invoices.charge import BilledCharge, TaxedPart
from billing.invoices.document import BornePart, ComponentDetail, SessionDetail, Tax
from billing.money import Money, allocate, exact_decimal, minor_digits
from billing.rating.matching import Phase
from billing.rating.rating import PER_PRICE, Unit, component_of
from billing.tariffs.tariff import Dimension
from billing.time_zones import zone_named

SHOWN_OF_TOKEN: Final = 4
_SHOWN: Final = {
    Unit.WATT_HOUR: (Decimal(PER_PRICE[Unit.WATT_HOUR]), "kWh"),
    Unit.SECOND: (Decimal(PER_PRICE[Unit.SECOND]), "h"),
    Unit.ONCE: (Decimal(1), "1"),
}
"""A unit in the one that prices are for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledSession:
    """A session with the bill that counts, as the database has it. `detail` is the rating's JSON."""

    session: int
    seq: int
    account: str | None
    currency: str
    detail: Mapping[str, Any]
    charge_point: str
    evse: int | None
    site: str
    country: str
    time_zone: str
    token: str | None
    started_at: datetime
    ended_at: datetime
    energy_wh: Decimal
    register_begin_wh: Decimal | None
    register_end_wh: Decimal | None
    energy_source: str | None
    tariff: str
    tariff_version: int
    labels: Mapping[str, str]
    brand: str | None = None
    """Under which the site's seller sells there to drivers without a contract."""


def source_of(session: int, seq: int) -> str:
    """How a bill is named as what a line is paid for."""
    return f"bill:{session}:{seq}"


def charge_of(billed: BilledSession, *, language: str, late_before: datetime | None = None) -> BilledCharge:
    """The charge. `late_before`: a session that ended before that instant is told to be late."""
    zone = zone_named(billed.time_zone)
    detail = SessionDetail(
        session=billed.session,
        bill=billed.seq,
        site=billed.site,
        charge_point=billed.charge_point,
        evse=billed.evse,
        started_at=billed.started_at.astimezone(zone),
        ended_at=billed.ended_at.astimezone(zone),
        energy_wh=_whole(billed.energy_wh),
        tariff=billed.tariff,
        tariff_version=billed.tariff_version,
        meter_start_wh=None if billed.register_begin_wh is None else _whole(billed.register_begin_wh),
        meter_stop_wh=None if billed.register_end_wh is None else _whole(billed.register_end_wh),
        energy_source=billed.energy_source,
        token=masked(billed.token),
        components=_components(billed),
        late=late_before is not None and billed.ended_at < late_before,
    )
    return BilledCharge(
        source=source_of(billed.session, billed.seq),
        account=billed.account,
        currency=billed.currency,
        name=f"{words.CHARGING[language]} {words.day_in(language, detail.ended_at.date())}, {billed.site}",
        price_with_tax=billed.detail["tax_included"] == "YES",
        parts=tax_parts(billed.detail, billed.currency, language=language, country=billed.country),
        day=detail.ended_at.date(),
        session=detail,
        labels={**billed.labels, "site": billed.site},
        borne=_borne(billed),
        brand=billed.brand,
    )


def masked(token: str | None) -> str | None:
    """A token as documents show it: enough to know one's own card by, too little to copy it."""
    if token is None:
        return None
    return "*" * max(len(token) - SHOWN_OF_TOKEN, 0) + token[-SHOWN_OF_TOKEN:]


def tax_parts(detail: Mapping[str, Any], currency: str, *, language: str, country: str) -> tuple[TaxedPart, ...]:
    """The tax groups of a rating with the category and note that the tax rules of the site's country gave them."""
    parts: list[TaxedPart] = []
    for group in detail["tax_groups"]:
        net, tax = _minor(group["net"], currency), _minor(group["tax"], currency)
        taxes = _taxes_of(group["vat"], detail, language, country)
        weights = list(taxes.values())
        if len(taxes) == 1 or not any(weights):
            parts.append(TaxedPart(tax=next(iter(taxes)), net_minor=net, tax_minor=tax))
            continue
        nets, amounts = allocate(net, weights), allocate(tax, weights)
        parts += [
            TaxedPart(tax=each, net_minor=part, tax_minor=amount)
            for each, part, amount in zip(taxes, nets, amounts, strict=True)
            if part or amount
        ]
    return _joined(parts)


def _taxes_of(vat: str | None, detail: Mapping[str, Any], language: str, country: str) -> dict[Tax, Fraction]:
    """What a rate means, weighed by what was paid for under each meaning: rules may give one rate two categories."""
    if vat is None:
        return {Tax("O", Decimal(0), words.NOT_SUBJECT_TO_VAT[language], country): Fraction(1)}
    rate = Decimal(vat)
    found: dict[Tax, Fraction] = {}
    for each in detail.get("taxes", ()):
        if Decimal(each["rate"]) == rate:
            tax = Tax(each["category"], rate, each["note"], country)
            part = detail["components"].get(each["component"])
            found[tax] = found.get(tax, Fraction(0)) + (
                Fraction(0) if part is None else Fraction(part["excl_tax_exact"])
            )
    return found or {Tax("S" if rate else "Z", rate, None, country): Fraction(1)}


def _joined(parts: Sequence[TaxedPart]) -> tuple[TaxedPart, ...]:
    by_tax: dict[Tax, TaxedPart] = {}
    for part in parts:
        known = by_tax.get(part.tax)
        net, tax = (part.net_minor, part.tax_minor)
        if known is not None:
            net, tax = net + known.net_minor, tax + known.tax_minor
        by_tax[part.tax] = TaxedPart(tax=part.tax, net_minor=net, tax_minor=tax)
    return tuple(by_tax[tax] for tax in sorted(by_tax, key=lambda tax: tax.order))


def _components(billed: BilledSession) -> tuple[ComponentDetail, ...]:
    """What was priced, by what it is and its price; amounts in the tariff's own terms, exact to the printed digit."""
    with_tax = billed.detail["tax_included"] == "YES"
    rows: dict[tuple[str, str | None, str], tuple[Decimal, Fraction]] = {}
    for segment in billed.detail["segments"]:
        amount = Fraction(segment["incl_tax" if with_tax else "excl_tax"])
        if not amount and segment["unit_price"] is None:
            continue
        part = component_of(Phase(segment["phase"]), Dimension(segment["dimension"]))
        key = (part.value, segment["unit_price"], segment["unit"])
        quantity, known = rows.get(key, (Decimal(0), Fraction(0)))
        rows[key] = (quantity + Decimal(segment["quantity_billed"]), known + amount)
    found = []
    for (name, price, unit), (quantity, amount) in rows.items():
        scale, shown = _SHOWN[Unit(unit)]
        found.append(
            ComponentDetail(
                name=name, quantity=_rounded(quantity / scale), unit=shown, price=None if price is None else Decimal(price),
                amount=format(_rounded(exact_decimal(amount), minor_digits(billed.currency) + 2), "f"),
            )
        )  # fmt: skip
    return tuple(found)


def _borne(billed: BilledSession) -> tuple[BornePart, ...]:
    return tuple(
        BornePart(party=each["party"], label=each["label"], amount_minor=_minor(each["amount"], billed.currency))
        for each in billed.detail.get("incentives", ())
    )


def _minor(text: str, currency: str) -> int:
    return Money.round_from(Decimal(text), currency).minor


def _whole(wh: Decimal) -> int:
    return int(wh.quantize(Decimal(1), rounding="ROUND_HALF_UP"))


def _rounded(value: Decimal, places: int = 3) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-places), rounding="ROUND_HALF_UP")
