"""What a contract earns: revenue less energy less fees, exactly."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from billing.contracts.days import Days
from billing.contracts.earnings import month_of
from billing.contracts.margin import Earned, EnergyPrice, Fees, Margin, Sold, margin_of, net_minor
from billing.rating.series import SeriesValue
from tests.examples import tried

D = date.fromisoformat
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MARCH = Days(D("2026-03-01"), D("2026-04-01"))
HOUR = timedelta(hours=1)


def sold(**more: Any) -> Sold:
    """10 kWh in an hour for 5.00."""
    return Sold(
        **{
            "session": 1, "started_at": NOON, "ended_at": NOON + HOUR, "energy_wh": Decimal(10_000), "net_minor": 500,
            **more,
        }
    )  # fmt: skip


def margin(*sessions: Sold, earned: list[Earned] | None = None, **more: Any) -> Margin:
    named = {"energy": EnergyPrice(per_kwh=Decimal("0.30")), "fees": Fees(), **more}
    return margin_of(earned or [], sessions, MARCH, currency="EUR", **named)


def hours(*values: str | None) -> list[SeriesValue]:
    return [
        SeriesValue(start=NOON + n * HOUR, end=NOON + (n + 1) * HOUR, value=Decimal(value))
        for n, value in enumerate(values)
        if value is not None
    ]


def test_a_margin_is_revenue_less_energy_less_fees() -> None:
    earned = [Earned(kind="subscription", net_minor=Fraction(2990), days=MARCH)]
    fees = Fees(percent=Decimal(2), per_session=Decimal("0.10"), per_kwh=Decimal("0.01"), fixed=Decimal(3))
    found = margin(sold(), sold(session=2, net_minor=-100), earned=earned, fees=fees)

    assert (found.revenue_contract.text, found.revenue_sessions.text, found.revenue.text) == ("29.90", "4.00", "33.90")
    assert found.energy_cost is not None
    assert found.margin is not None
    assert (found.energy_cost.text, found.fees.text, found.margin.text) == ("6.00", "4.08", "23.82")
    assert (found.sessions, found.kwh, found.percent) == (2, Decimal(20), Decimal("70.3"))


def test_a_year_that_was_paid_at_once_counts_by_days() -> None:
    year = Days(D("2026-01-01"), D("2027-01-01"))
    earned = [Earned(kind="subscription", net_minor=Fraction(36500), days=year)]

    assert margin(earned=earned).revenue_contract.text == "31.00"


@tried(100)
@given(st.integers(-(10**6), 10**6), st.integers(0, 400), st.integers(1, 400))
def test_months_add_up_to_what_was_charged(net: int, begin: int, length: int) -> None:
    first = D("2026-01-01") + timedelta(days=begin)
    earned = [Earned(kind="subscription", net_minor=Fraction(net), days=Days(first, first + timedelta(days=length)))]
    total, month = Fraction(0), month_of(D("2026-01-05"))
    while month.first < D("2029-01-01"):
        assert month.until is not None
        found = margin_of(earned, [], month, currency="CLF", energy=EnergyPrice(), fees=Fees())
        total += found.revenue_contract.minor
        month = month_of(month.until)

    assert abs(total - net) <= 20  # each month is rounded once


def test_energy_costs_what_the_series_says_of_its_hours() -> None:
    long = sold(ended_at=NOON + 2 * HOUR)
    found = margin(long, energy=EnergyPrice(series=hours("0.10", "-0.04")))

    assert found.energy_cost is not None
    assert found.energy_cost.text == "0.30"
    assert found.kwh_without_price == 0


def test_an_hour_without_a_value_costs_the_entered_price_or_leaves_the_margin_open() -> None:
    long = sold(ended_at=NOON + 2 * HOUR)

    entered = margin(long, energy=EnergyPrice(per_kwh=Decimal("0.30"), series=hours("0.10", None)))
    assert entered.energy_cost is not None
    assert entered.energy_cost.text == "2.00"
    unknown = margin(long, energy=EnergyPrice(series=hours("0.10", None)))
    assert (unknown.kwh_without_price, unknown.energy_cost, unknown.margin, unknown.percent) == (
        Decimal("5.000"), None, None, None,
    )  # fmt: skip
    nothing = margin(sold(energy_wh=Decimal("0.001")), energy=EnergyPrice())
    assert nothing.kwh_without_price == Decimal("0.001")


def test_a_session_without_duration_costs_what_its_instant_does() -> None:
    at_once = sold(ended_at=NOON)

    found = margin(at_once, energy=EnergyPrice(series=hours("0.10")))
    assert found.energy_cost is not None
    assert found.energy_cost.text == "1.00"


def test_a_contract_that_earned_nothing_has_no_percentage() -> None:
    assert margin().percent is None
    assert margin().margin is not None


def test_the_net_of_a_price_with_tax_is_without_it() -> None:
    assert net_minor(11900, with_tax=True, rate_percent=Decimal(19)) == 10000
    assert net_minor(11900, with_tax=False, rate_percent=None) == 11900
