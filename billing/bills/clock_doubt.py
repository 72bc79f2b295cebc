"""Whether an uncertain clock decides a price: what the session would cost a little earlier and a little later. Decides only."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from billing.bills.billable import BillableSession
from billing.money import Money
from billing.policies.policies import Policies
from billing.rating.engine import rate
from billing.rating.rating import Rating
from billing.rating.terms import Terms
from billing.rating.usage import Usage
from billing.rating.usage_check import UsageInvalid
from billing.tariffs.tariff import Tariff


def doubt_of(session: BillableSession, tariff: Tariff, policies: Policies, rating: Rating, terms: Terms) -> str | None:
    """By how much the amount differs, where the clock is less sure than the policy wants; None: the price stands.

    `rating` is the session's as corrected. A tariff without times of day, and a session that no boundary is near to, cost
    the same at any of these times.
    """
    seconds = session.clock_uncertainty_s
    if seconds <= policies.band_tolerance_s:
        return None
    amounts: list[Money] = []
    for by in (-seconds, seconds):
        try:
            moved = _shifted(session.usage, timedelta(microseconds=int(by * 1_000_000)))
            amounts.append(rate(moved, tariff, policies.rating, final=rating.final, terms=terms).total_incl)
        except (OverflowError, UsageInvalid):  # so far away no time is believed
            continue
    if all(each == rating.total_incl for each in amounts):
        return None
    return _told(rating.total_incl, amounts, seconds)


def _told(as_corrected: Money, amounts: list[Money], seconds: Decimal) -> str:
    every = sorted([as_corrected, *amounts], key=lambda each: each.minor)
    least, most = every[0], every[-1]
    difference = most - least
    return (
        f"the clock is uncertain by {seconds.quantize(Decimal(1))} s: {least.text} to {most.text} {most.currency},"
        f" {difference.text} apart; {as_corrected.text} as corrected"
    )


def _shifted(usage: Usage, by: timedelta) -> Usage:
    """The same at another time; raises OverflowError where the calendar ends."""
    return replace(
        usage, periods=tuple(replace(each, start=each.start + by, end=each.end + by) for each in usage.periods)
    )
