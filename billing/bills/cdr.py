"""The figures of an OCPI 2.3.0 CDR (mod_cdrs): what was delivered and what it costs, from a bill's own rating. Pure.

It is the part of a CDR that billing knows: totals, their parts and the charging periods. Address and coordinates of the
location, the contract and the parties are those of whoever sends it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from billing.bills.bill import BillInputs, BillKind, BillSummary
from billing.money import Money
from billing.rating.matching import Phase
from billing.rating.rating import ComponentName, Rating, Segment
from billing.rating.rating_json import time_text
from billing.rating.usage import Period, PeriodKind
from billing.tariffs.tariff import Dimension

_PARTS: Final = {
    "total_fixed_cost": ComponentName.FLAT,
    "total_energy_cost": ComponentName.ENERGY,
    "total_time_cost": ComponentName.TIME,
    "total_parking_cost": ComponentName.PARKING,
    "total_reservation_cost": ComponentName.RESERVATION,
}
_VOLUMES: Final = {
    Dimension.ENERGY: ("ENERGY", Decimal(1000)),
    Dimension.TIME: ("TIME", Decimal(3600)),
    Dimension.PARKING_TIME: ("PARKING_TIME", Decimal(3600)),
    Dimension.OCCUPANCY: ("TIME", Decimal(3600)),
}
_MICROSECOND: Final = timedelta(microseconds=1)
_PLACES: Final = Decimal("0.0001")
"""OCPI numbers have at most four decimals."""


def cdr_id(session: int, seq: int) -> str:
    """A bill's CDR is known by the bill's own number."""
    return f"{session}-{seq}"


def cdr_of(bill: BillSummary, rating: Rating, inputs: BillInputs) -> dict[str, Any]:
    """The CDR of a final or correction bill. Amounts are the bill's; quantities are those that were billed."""
    periods = inputs.usage.periods
    body: dict[str, Any] = {
        "id": cdr_id(bill.session, bill.seq),
        "session_id": str(bill.session),
        "start_date_time": time_text(periods[0].start if periods else bill.as_of),
        "end_date_time": time_text(periods[-1].end if periods else bill.as_of),
        "currency": bill.currency,
        "charging_periods": _charging_periods(rating),
        "total_cost": _total_cost(rating),
    }
    for name, part in _PARTS.items():
        amount = rating.component(part).excl_tax
        if amount.minor:
            body[name] = {"before_taxes": amount.decimal}
    body["total_energy"] = _rounded(bill.energy_wh / 1000)
    body["total_time"] = _hours(each for each in periods if each.kind in (PeriodKind.CHARGING, PeriodKind.PARKING))
    body["total_parking_time"] = _hours(each for each in periods if each.kind is PeriodKind.PARKING)
    body["last_updated"] = time_text(bill.created_at)
    return body


def credit_cdr_of(cdr: dict[str, Any], *, at: datetime) -> dict[str, Any]:
    """What takes a CDR back, since CDRs are never changed: every amount below zero, quantities as they were."""
    credit = dict(cdr) | {
        "id": f"{cdr['id']}-C",
        "credit": True,
        "credit_reference_id": cdr["id"],
        "last_updated": time_text(at),
    }
    return credit | {name: _negative(cdr[name]) for name in ("total_cost", *_PARTS) if name in cdr}


def is_cdr(bill: BillSummary) -> bool:
    """Only what is final is told to partners."""
    return bill.kind in (BillKind.FINAL, BillKind.CORRECTION)


def _total_cost(rating: Rating) -> dict[str, Any]:
    taxes = [
        {"name": "VAT", **({} if group.vat is None else {"percentage": group.vat}), "amount": group.tax.decimal}
        for group in rating.tax_groups
        if group.vat is not None or group.tax.minor  # a limit after tax may leave tax without a rate
    ]
    return {"before_taxes": rating.total_excl.decimal, **({"taxes": taxes} if taxes else {})}


def _negative(price: dict[str, Any]) -> dict[str, Any]:
    taxes = [tax | {"amount": -tax["amount"]} for tax in price.get("taxes", ())]
    return {"before_taxes": -price["before_taxes"], **({"taxes": taxes} if taxes else {})}


def _charging_periods(rating: Rating) -> list[dict[str, Any]]:
    """One for each instant at which a price begins; a quantity stands in the period in which its price began."""
    periods: dict[datetime, dict[str, Decimal]] = {}
    for segment in rating.segments:
        name, scale = _volume(segment)
        if name is not None:
            volumes = periods.setdefault(segment.start, {})
            volumes[name] = volumes.get(name, Decimal(0)) + segment.quantity_billed / scale
    return [
        {
            "start_date_time": time_text(start),
            "dimensions": [{"type": name, "volume": _rounded(volume)} for name, volume in volumes.items()],
            "tariff_id": rating.tariff_id,
        }
        for start, volumes in sorted(periods.items())
    ]


def _volume(segment: Segment) -> tuple[str | None, Decimal]:
    if segment.phase is not Phase.SESSION and segment.dimension is Dimension.TIME:
        return "RESERVATION_TIME", Decimal(3600)
    return _VOLUMES.get(segment.dimension, (None, Decimal(1)))


def _hours(periods: Iterable[Period]) -> Decimal:
    elapsed = sum((each.end - each.start for each in periods), timedelta(0))
    return _rounded(Decimal(elapsed // _MICROSECOND) / 3_600_000_000)


def _rounded(value: Decimal) -> Decimal:
    return value.quantize(_PLACES).normalize() + 0


def total_of(cdr: dict[str, Any], currency: str) -> Money:
    """The total with tax that a CDR says."""
    price = cdr["total_cost"]
    total = price["before_taxes"] + sum((tax["amount"] for tax in price.get("taxes", ())), Decimal(0))
    return Money.round_from(total, currency)
