"""What an idle fee's cap takes off. Exact; rounds nothing."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from billing.rating.limits import Amount, BucketKey, add_up
from billing.rating.rating import Segment
from billing.tariffs.tariff import Dimension, Element, Tariff, TaxIncluded


def idle_excess(tariff: Tariff, segments: tuple[Segment, ...]) -> Iterator[tuple[BucketKey, Amount]]:
    """For each capped idle fee that reached its cap: the part of the total that it is in, and what is above the cap."""
    for index, element in enumerate(tariff.elements):
        cap = _cap(element)
        if cap is None:
            continue
        fees = [
            each
            for each in segments
            if each.element == index and each.dimension is Dimension.PARKING_TIME and each.unit_price is not None
        ]
        total = add_up(Amount(each.excl_tax, each.incl_tax - each.excl_tax) for each in fees)
        told = total.gross if tariff.tax_included is TaxIncluded.YES else total.net
        if told > cap:
            share = 1 - cap / told
            yield (fees[0].component, fees[0].vat), Amount(total.net * share, total.tax * share)


def _cap(element: Element) -> Fraction | None:
    """Of the component that prices parking here: the first, as everywhere."""
    fee = next((part for part in element.components if part.type is Dimension.PARKING_TIME), None)
    idle = None if fee is None else fee.extensions.idle
    return None if idle is None or idle.cap is None else Fraction(idle.cap)
