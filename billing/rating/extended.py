"""Tariff extensions as candidates: each is said in restrictions and prices of OCPI's own kind, so that one rule matches all.

An idle fee becomes free stretches before its price, tiers become minimums of the session's kWh, a price series becomes
one price for each of its values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from billing.rating.instants import micro_of
from billing.rating.matching import MICRO, Candidate, Menu, Special
from billing.rating.terms import Terms
from billing.tariffs.extensions import IdleFee, SeriesLink, Tier
from billing.tariffs.tariff import Restrictions

_WH_PER_KWH = Decimal(1000)


def is_extended(menu: Menu) -> bool:
    """Whether any candidate says more than OCPI can."""
    return any(each.component.extensions for found in menu.values() for each in found)


def expanded(menu: Menu, terms: Terms) -> Menu:
    """The menu with every extension said in candidates; the first that matches wins, as before."""
    return {
        dimension: tuple(each for candidate in found for each in _expanded(candidate, terms))
        for dimension, found in menu.items()
    }


def _expanded(candidate: Candidate, terms: Terms) -> Iterator[Candidate]:
    component = candidate.component
    if not component.extensions:
        yield candidate
        return
    extensions = component.extensions
    if extensions.idle is not None:
        yield from _idle(candidate, extensions.idle)
    elif extensions.tiers:
        yield from _tiered(candidate, extensions.tiers, terms.volume_wh or Decimal(0))
    elif extensions.series is not None:
        yield from _priced_by(candidate, extensions.series, terms)


def _idle(candidate: Candidate, idle: IdleFee) -> Iterator[Candidate]:
    if idle.quiet_from is not None:
        quiet = Restrictions(start_time=idle.quiet_from, end_time=idle.quiet_to)
        yield replace(candidate, free=True, also=quiet, special=Special.QUIET)
    if idle.grace_s:
        yield replace(candidate, free=True, parked_below=idle.grace_s * MICRO, special=Special.GRACE)
    yield candidate


def _tiered(candidate: Candidate, tiers: tuple[Tier, ...], volume_wh: Decimal) -> Iterator[Candidate]:
    """The highest tier first: it begins where the month's volume and the session's own reach it together."""
    for tier in reversed(tiers):
        reached = Restrictions(min_kwh=max(Decimal(0), tier.from_kwh - volume_wh / _WH_PER_KWH))
        component = replace(candidate.component, price=tier.price)
        yield replace(candidate, component=component, also=reached, special=Special.VOLUME_TIER)
    yield candidate


def _priced_by(candidate: Candidate, link: SeriesLink, terms: Terms) -> Iterator[Candidate]:
    component = candidate.component
    values = next((each.values for each in terms.series if each.name == link.name), ())
    for each in values:
        price = max(Decimal(0), component.price + link.factor * each.value)
        yield replace(
            candidate,
            component=replace(component, price=price),
            since=micro_of(each.start),
            until=micro_of(each.end),
            special=Special.SERIES,
        )
    fallback = component.price + link.factor * link.fallback
    yield replace(candidate, component=replace(component, price=fallback), special=Special.SERIES_FALLBACK)
