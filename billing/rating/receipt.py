"""A rating in the few words of a display: what was paid for, and what applies now. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from billing.rating.matching import Phase
from billing.rating.rating import ComponentName, Rating
from billing.tariffs.tariff import Dimension, TaxIncluded

_WORDS = {
    ComponentName.ENERGY: "energy",
    ComponentName.TIME: "time",
    ComponentName.PARKING: "parking",
    ComponentName.FLAT: "fee",
    ComponentName.RESERVATION: "reservation",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """`text`: what is to pay, parts and tax in one line; the parts are without tax and add up to it with `tax`, less
    what third parties pay.

    `prices` are those that priced the newest moment of the session, per unit and with tax, by dimension.
    """

    text: str
    prices: dict[Dimension, Decimal]


def receipt(rating: Rating) -> Receipt:
    """What a driver reads of a bill."""
    currency = rating.currency
    parts = [f"{_WORDS[part.name]} {part.excl_tax.text}" for part in rating.components if part.excl_tax.minor]
    kwh = format((rating.energy_wh / 1000).quantize(Decimal("0.001")), "f")
    paid = [f"paid by {each.party} {each.amount.text}" for each in rating.incentives]
    told = ", ".join([*parts, f"tax {rating.total_tax.text}", *paid] if parts else ["nothing to pay"])
    return Receipt(text=f"{rating.payable.text} {currency} for {kwh} kWh: {told}", prices=_prices(rating))


def _prices(rating: Rating) -> dict[Dimension, Decimal]:
    newest: dict[Dimension, tuple[object, Decimal]] = {}
    session = [each for each in rating.segments if each.phase is Phase.SESSION]
    until = max((each.end for each in session), default=None)
    for each in session:
        now = each.dimension is Dimension.FLAT or each.end == until
        if each.unit_price is None or not now:
            continue
        taxed = each.unit_price
        if rating.tax_included is TaxIncluded.NO:
            taxed = taxed * (1 + (each.vat or Decimal(0)) / 100)
        newest[each.dimension] = (each.start, taxed)
    return {dimension: price for dimension, (_, price) in newest.items()}
