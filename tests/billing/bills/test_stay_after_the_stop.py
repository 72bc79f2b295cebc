"""What a bill makes of the time between the transaction's end and the unplugging (RULES.md 18)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.bills.billable import BillableSession, Stay
from billing.bills.stay import with_stay
from billing.rating.usage import Period, PeriodKind
from billing.tariffs.idle import IDLE_MAX, IdleAfterStop
from tests.billing.bills.test_bill_decisions import ended, running
from tests.billing.bills.world import NOON

MINUTE = timedelta(minutes=1)
END = NOON + 60 * MINUTE
ON = IdleAfterStop()


def stayed(since: int | None, until: int | None, *, idle: IdleAfterStop | None = None) -> BillableSession:
    """A session that ended at END; its stay is in minutes from then."""
    stay = Stay(
        since=None if since is None else END + since * MINUTE, until=None if until is None else END + until * MINUTE
    )
    return replace(ended(running(minutes=60)), stay=stay, idle=idle)


def parked(session: BillableSession) -> list[Period]:
    return [period for period in session.usage.periods if period.kind is PeriodKind.PARKING]


@pytest.mark.parametrize(
    ("until", "cap", "minutes"),
    [
        pytest.param(20, None, 20, id="until the unplugging"),
        pytest.param(20, 15, 15, id="until the cap"),
        pytest.param(None, 30, 30, id="until the cap, though nobody unplugged"),
        pytest.param(60 * 24 * 30, None, 60 * 24 * 7, id="a week at most"),
    ],
)
def test_a_stay_that_is_over_is_parking_and_closes_the_bill(until: int | None, cap: int | None, minutes: int) -> None:
    idle = IdleAfterStop(cap=None if cap is None else cap * MINUTE)
    billed = with_stay(stayed(0, until), idle, END + 2 * IDLE_MAX)

    [period] = parked(billed)
    assert (period.start, period.end, period.energy_wh) == (END, END + minutes * MINUTE, 0)
    assert billed.complete_at == billed.as_of == END + minutes * MINUTE
    assert billed.energy_wh == running().energy_wh


def test_a_stay_that_goes_on_keeps_the_bill_open_and_counts_only_what_is_past() -> None:
    billed = with_stay(stayed(0, None), ON, END + 10 * MINUTE)

    assert billed.complete_at == END + IDLE_MAX
    assert [period.end for period in parked(billed)] == [END + 10 * MINUTE]


@pytest.mark.parametrize(
    "session", [stayed(0, 20), stayed(None, None, idle=ON), running(), replace(running(), idle=ON, stay=Stay(since=None, until=None))]
)  # fmt: skip
def test_off_without_proof_or_while_it_runs_nothing_changes(session: BillableSession) -> None:
    assert with_stay(session, None, END + IDLE_MAX) == session


def test_the_tariff_goes_before_the_charge_point_which_decides_where_it_says_nothing() -> None:
    session = stayed(0, 60, idle=IdleAfterStop(cap=20 * MINUTE))

    assert parked(with_stay(session, None, END + IDLE_MAX))[0].end == END + 20 * MINUTE
    assert parked(with_stay(session, ON, END + IDLE_MAX))[0].end == END + 60 * MINUTE


def test_a_clock_at_the_end_of_time_is_no_trouble() -> None:
    last = datetime.max.replace(tzinfo=UTC)
    session = replace(stayed(0, None, idle=ON), ended_at=last, as_of=last, stay=Stay(since=last, until=None))

    assert with_stay(session, None, NOON).complete_at == last


@given(
    since=st.integers(0, 100),
    length=st.none() | st.integers(1, 20_000),
    cap=st.none() | st.integers(1, 20_000),
    after=st.integers(0, 30_000),
)
def test_what_is_rated_is_proven_past_and_never_beyond_the_cap(
    since: int, length: int | None, cap: int | None, after: int
) -> None:
    session = stayed(since, None if length is None else since + length)
    idle = IdleAfterStop(cap=None if cap is None else cap * MINUTE)
    now = END + after * MINUTE
    billed = with_stay(session, idle, now)

    assert billed.usage.periods[: len(session.usage.periods)] == session.usage.periods
    assert billed.complete_at is not None
    for period in parked(billed):
        assert session.stay is not None
        assert session.stay.since == period.start < period.end <= min(now, period.start + idle.longest)
        assert session.stay.until is None or period.end <= session.stay.until
        assert (billed.complete_at <= now) == (period.end == billed.complete_at)
