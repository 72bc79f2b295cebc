"""The prices of a running session in the words of a 1.6 display: what charging costs, and what idling does. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from billing import Dimension, Grace, Outlook, Prices
from csms.protocol.v16.cost_messages import PricesAhead, PricesShown

_MINUTE_S = 60


def prices_now(outlook: Outlook, paid: Mapping[Dimension, Decimal]) -> PricesShown:
    """What applies from now on. `paid`: prices of the bill; the fee of the session is due once, and is in it."""
    return replace(_shown(outlook.now, outlook.grace), flat=paid.get(Dimension.FLAT))


def prices_ahead(outlook: Outlook, *, register_wh: Decimal | None) -> PricesAhead:
    """What comes next, and when the charge point shall tell its meter. `register_wh`: its register at the start."""
    change = outlook.change
    at_wh = None if outlook.watch_wh is None or register_wh is None else register_wh + outlook.watch_wh
    return PricesAhead(
        at=None if change is None else change.at,
        prices=None if change is None else _shown(change.prices, change.grace),
        at_kwh=None if at_wh is None else at_wh.scaleb(-3),
        at_kw=None if outlook.watch_w is None else outlook.watch_w.scaleb(-3),
        at_pause=outlook.watch_idle,
    )


def _shown(prices: Prices, grace: Grace | None) -> PricesShown:
    """Free minutes are whole ones, rounded down: the last part of one is free without a word."""
    minutes = 0 if grace is None else grace.seconds // _MINUTE_S
    idle = prices if grace is None or not minutes else {**prices, Dimension.PARKING_TIME: grace.then}
    return PricesShown(
        kwh=prices.get(Dimension.ENERGY),
        hour=_sum(prices, Dimension.TIME, Dimension.OCCUPANCY),
        idle_hour=_sum(idle, Dimension.PARKING_TIME, Dimension.OCCUPANCY),
        grace_minutes=minutes,
    )


def _sum(prices: Prices, *dimensions: Dimension) -> Decimal | None:
    """Per hour; None where the tariff has no such price at all."""
    found = [prices[each] for each in dimensions if each in prices]
    return sum(found, Decimal(0)) if found else None
