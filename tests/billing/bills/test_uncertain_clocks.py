"""A clock that contradicts itself decides no price: only where the time of day changes the amount is a session held."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.bills.billable import BillableSession
from billing.bills.decision import CLOCK_UNCERTAIN, Decision, Hold, Issue, Standing, decide
from billing.policies.policies import Policies
from billing.rating.usage import Period, PeriodKind, Usage
from billing.tariffs.tariff import Tariff, parse_tariff

EIGHT = datetime(2026, 3, 2, 19, 0, tzinfo=UTC)
"""20:00 in Berlin, when the night's price begins."""
HOUR = timedelta(hours=1)
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def tariff(*elements: tuple[str, str, dict[str, Any]]) -> Tariff:
    return parse_tariff(
        {
            "id": "DAY",
            "currency": "EUR",
            "tax_included": "YES",
            "elements": [
                {
                    "price_components": [{"type": kind, "price": price, "vat": "19", "step_size": 1}],
                    "restrictions": restrictions,
                }
                for kind, price, restrictions in elements
            ],
        },
        version=1,
    )


BANDS = tariff(("ENERGY", "0.30", {"start_time": "20:00", "end_time": "06:00"}), ("ENERGY", "0.50", {}))


def session(start: datetime, *, hours: int = 2, kwh: int = 20, uncertain_s: int = 1800, **more: Any) -> BillableSession:
    end = start + hours * HOUR
    given_: dict[str, Any] = {"closed": True, "ended_at": end, "complete_at": end, "released": frozenset(), **more}
    return BillableSession(
        id=1, charge_point="CP-1", site="depot", country="DE", currency="EUR", time_zone="Europe/Berlin", token="T",
        priced_from=start, started_at=start, dropped=False, holds=frozenset(), energy_wh=Decimal(kwh * 1000), as_of=end,
        usage=Usage(
            time_zone="Europe/Berlin",
            periods=(Period(kind=PeriodKind.CHARGING, start=start, end=end, energy_wh=Decimal(kwh * 1000)),),
        ),
        inputs_hash=b"", clock_uncertainty_s=Decimal(uncertain_s), **given_,
    )  # fmt: skip


def decided(what: BillableSession, by: Tariff = BANDS, policies: Policies | None = None) -> Decision:
    return decide(what, Standing(), by, policies or Policies(), what.as_of + HOUR)


def test_a_session_over_a_boundary_is_held_with_what_it_may_cost() -> None:
    """From 19:00 to 21:00, 10 kWh an hour: 5.00 + 3.00. Half an hour earlier 7.50 + 1.50, later 2.50 + 4.50."""
    held = decided(session(EIGHT - HOUR))

    assert isinstance(held, Hold)
    assert held.reason == CLOCK_UNCERTAIN
    assert held.why == "the clock is uncertain by 1800 s: 7.00 to 9.00 EUR, 2.00 apart; 8.00 as corrected"


def test_whoever_released_it_has_it_billed_as_corrected() -> None:
    billed = decided(session(EIGHT - HOUR, released=frozenset({CLOCK_UNCERTAIN})))

    assert isinstance(billed, Issue)
    assert billed.rating.total_incl.text == "8.00"


def test_a_running_session_shows_nothing_while_its_clock_is_in_doubt() -> None:
    assert isinstance(decided(session(EIGHT - HOUR, closed=False, ended_at=None, complete_at=None)), Hold)


@pytest.mark.parametrize(
    ("start", "uncertain_s"),
    [
        (EIGHT - HOUR, 0),
        (EIGHT - HOUR, 60),  # as much as the policy lets pass
        (EIGHT + HOUR, 3600),  # begins at 21:00: an hour earlier it is night as well
        (EIGHT - 4 * HOUR, 3600),
    ],
    ids=["a sure clock", "within the tolerance", "well in the night", "well in the day"],
)
def test_what_costs_the_same_is_billed(start: datetime, uncertain_s: int) -> None:
    assert isinstance(decided(session(start, uncertain_s=uncertain_s)), Issue)


def test_the_tolerance_is_the_policys() -> None:
    assert isinstance(decided(session(EIGHT - HOUR), policies=Policies(band_tolerance_s=Decimal(1800))), Issue)
    assert isinstance(
        decided(session(EIGHT - HOUR, uncertain_s=59), policies=Policies(band_tolerance_s=Decimal(1))), Hold
    )


@pytest.mark.parametrize("uncertain_s", [10**9, 10**12])
def test_times_that_nobody_believes_are_not_compared(uncertain_s: int) -> None:
    """So much earlier there was no such clock, so much later it is the same price or the end of the calendar."""
    plain = tariff(("ENERGY", "0.30", {}))

    assert isinstance(decided(session(datetime(1972, 1, 1, tzinfo=UTC), uncertain_s=uncertain_s), plain), Issue)


@FEW
@given(
    elements=st.lists(
        st.tuples(
            st.sampled_from(["ENERGY", "TIME", "FLAT"]),
            st.integers(0, 90).map(lambda cents: f"0.{cents:02}"),
            st.sampled_from(
                [{}, {"max_kwh": "10"}, {"min_duration": 1800}, {"max_duration": 3600}, {"max_power": "11"}]
            ),
        ),
        min_size=1,
        max_size=4,
    ),
    minutes=st.integers(-100_000, 100_000),
    uncertain_s=st.integers(0, 10**7),
    kwh=st.integers(0, 60),
)
def test_a_tariff_without_times_of_day_is_never_held_for_its_clock(
    elements: list[tuple[str, str, dict[str, Any]]], minutes: int, uncertain_s: int, kwh: int
) -> None:
    what = session(EIGHT + timedelta(minutes=minutes), kwh=kwh, uncertain_s=uncertain_s)

    assert isinstance(decided(what, tariff(*json.loads(json.dumps(elements)))), Issue)


@FEW
@given(minutes=st.integers(-600, 600), uncertain_s=st.integers(0, 7200))
def test_held_is_exactly_what_differs(minutes: int, uncertain_s: int) -> None:
    start = EIGHT + timedelta(minutes=minutes)

    def costs(at: datetime) -> str:
        issued = decided(session(at, uncertain_s=0))
        assert isinstance(issued, Issue)
        return issued.rating.total_incl.text

    by = timedelta(seconds=uncertain_s)
    differs = len({costs(start - by), costs(start), costs(start + by)}) > 1
    assert isinstance(decided(session(start, uncertain_s=uncertain_s)), Hold) == (differs and uncertain_s > 60)
