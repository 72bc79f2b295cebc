"""What is kept of running sessions saves work and never changes an amount."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from billing.bills.running import RunningSessions
from billing.rating.engine import rate
from billing.rating.policy import DEFAULT_POLICY
from billing.rating.rating import Rating
from billing.rating.terms import NO_TERMS
from billing.rating.usage import Period, PeriodKind, Usage
from billing.tariffs.tariff import parse_tariff
from tests.billing.bills.world import NOON

TARIFF = parse_tariff(
    {
        "id": "day",
        "currency": "EUR",
        "elements": [{"price_components": [{"type": "ENERGY", "price": "0.5", "step_size": 1}]}],
    }
)


def charged(minutes: int) -> Usage:
    return Usage(
        time_zone="Europe/Berlin",
        periods=tuple(
            Period(
                kind=PeriodKind.CHARGING,
                start=NOON + timedelta(minutes=n),
                end=NOON + timedelta(minutes=n + 1),
                energy_wh=Decimal(180),
            )
            for n in range(minutes)
        ),
    )


def interim(known: RunningSessions, session: int, usage: Usage, *, final: bool = False) -> Rating:
    return known.rate(session, usage, TARIFF, DEFAULT_POLICY, final=final, terms=NO_TERMS)


def test_more_sessions_than_are_kept_are_rated_all_the_same() -> None:
    known = RunningSessions(periods_max=25)

    for minutes in (5, 10, 15):
        for session in range(6):
            afresh = rate(charged(minutes), TARIFF, DEFAULT_POLICY, final=False)
            assert interim(known, session, charged(minutes)) == afresh


def test_a_final_rating_after_interims_has_everything() -> None:
    known = RunningSessions()
    interim(known, 1, charged(30))

    assert interim(known, 1, charged(31), final=True) == rate(charged(31), TARIFF, DEFAULT_POLICY, final=True)


def test_a_reading_that_corrects_the_past_is_rated_from_the_start() -> None:
    known = RunningSessions()
    interim(known, 1, charged(30))
    first, *others = charged(31).periods
    corrected = Usage(time_zone="Europe/Berlin", periods=(replace(first, energy_wh=Decimal(1)), *others))

    assert interim(known, 1, corrected) == rate(corrected, TARIFF, DEFAULT_POLICY, final=False)
