"""What becomes of a session, decided without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.bills.bill import BillInputs, BillKind, BillSummary
from billing.bills.billable import BillableSession
from billing.bills.decision import RECHECK, Decision, Hold, Issue, Settled, Standing, Wait, decide
from billing.bills.store import DraftBill
from billing.policies.interim import InterimPolicy, InterimPolicyInvalid
from billing.policies.policies import Policies
from billing.rating.engine import rate
from billing.rating.rating import Rating
from billing.rating.usage import Usage
from billing.tariffs.ocpi_json import load_json
from billing.tariffs.tariff import Tariff, parse_tariff
from tests.billing.bills.world import NOON, one_period, tariff_file

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
TARIFF = parse_tariff(load_json(tariff_file(price="0.50")), version=1)


def running(minutes: int = 1, energy_wh: int = 100, *, clock_off: timedelta = timedelta(0)) -> BillableSession:
    start = NOON + clock_off
    as_of = start + minutes * MINUTE
    return BillableSession(
        id=1,
        charge_point="CP-1",
        site="depot",
        country="DE",
        currency="EUR",
        time_zone="Europe/Berlin",
        token="TAG-1",
        priced_from=NOON,
        started_at=start,
        ended_at=None,
        complete_at=None,
        closed=False,
        dropped=False,
        holds=frozenset(),
        released=frozenset(),
        energy_wh=Decimal(energy_wh),
        as_of=as_of,
        usage=one_period(start, as_of, Decimal(energy_wh)),
        inputs_hash=b"",
    )


def ended(session: BillableSession) -> BillableSession:
    return replace(session, ended_at=session.as_of, closed=True, complete_at=session.as_of)


def decided(session: BillableSession, standing: Standing | None = None, tariff: Tariff = TARIFF) -> Decision:
    """At the moment at which the session stands, by our clock."""
    started_at = session.started_at or NOON
    return decide(session, standing or Standing(), tariff, Policies(), NOON + (session.as_of - started_at))


def billed(session: BillableSession, decision: Decision, seq: int = 1) -> BillSummary:
    assert isinstance(decision, Issue)
    return DraftBill(
        session=session.id,
        seq=seq,
        kind=decision.kind,
        as_of=session.as_of,
        rating=decision.rating,
        inputs=decision.inputs,
        created_at=session.as_of,
    ).summary()


def rated(session: BillableSession) -> Rating:
    return rate(session.usage, TARIFF, Policies().rating, final=False)


def inputs(session: BillableSession) -> BillInputs:
    return BillInputs.of(session, final=False)


@pytest.mark.parametrize("clock_off", [timedelta(0), -365 * 24 * HOUR, 5 * HOUR])
def test_interims_follow_the_session_whatever_the_charge_points_clock_says(clock_off: timedelta) -> None:
    assert decided(running(14, clock_off=clock_off)) == Wait(next_at=NOON + 15 * MINUTE)
    assert isinstance(decided(running(15, clock_off=clock_off)), Issue)


def test_the_same_facts_give_no_second_interim() -> None:
    session = running(20, 6_000)
    first = billed(session, decided(session))

    assert isinstance(decided(session, Standing(interim=first)), Wait)


@pytest.mark.parametrize(
    ("minutes", "energy_wh", "due"),
    [
        (10, 1_000, False),
        (25, 1_000, False),  # 15 minutes less one after the first at minute 11
        (26, 1_000, True),
        (12, 5_999, False),
        (12, 6_000, True),
        (12, 989, True),  # the first shows a cent too much by now
    ],
)
def test_an_interim_is_due_when_time_or_energy_has_grown_or_the_last_shows_too_much(
    minutes: int, energy_wh: int, due: bool
) -> None:
    first = running(11, 1_000)
    last = billed(first, Issue(kind=BillKind.INTERIM, rating=rated(first), inputs=inputs(first), next_at=None))

    assert isinstance(decided(running(minutes, energy_wh), Standing(interim=last)), Issue) == due


def test_an_interim_is_due_when_the_amount_has_grown() -> None:
    dear = parse_tariff(load_json(tariff_file(price="9.00")), version=1)

    assert isinstance(decided(running(1, 554), tariff=dear), Wait)
    assert isinstance(decided(running(1, 556), tariff=dear), Issue)


@given(st.integers(0, 600), st.integers(0, 250_000), st.booleans())
def test_a_session_in_order_waits_for_a_later_time_or_is_billed(minutes: int, energy_wh: int, over: bool) -> None:
    session = ended(running(minutes, energy_wh)) if over else running(minutes, energy_wh)

    match decided(session):
        case Wait(next_at=next_at):
            assert not over
            assert next_at > NOON + minutes * MINUTE
        case Issue(kind=kind, next_at=next_at):
            assert kind is (BillKind.FINAL if over else BillKind.INTERIM)
            assert (next_at is None) == over
        case other:
            pytest.fail(f"unexpected {other}")


@given(st.integers(1, 600), st.integers(0, 250_000), st.integers(0, 250_000))
def test_a_final_bill_is_never_followed_by_another(minutes: int, energy_wh: int, later_wh: int) -> None:
    session = ended(running(minutes, energy_wh))
    standing = Standing(final=billed(session, decided(session)))

    assert decided(session, standing) == Settled()
    outcome = decided(ended(running(minutes, later_wh)), standing)
    assert isinstance(outcome, Settled)
    assert (outcome.late is None) == (later_wh == energy_wh)


def test_a_session_without_any_period_is_no_reason_to_fail() -> None:
    session = replace(running(), usage=Usage(time_zone="Europe/Berlin", periods=()), energy_wh=Decimal(0))

    assert isinstance(decided(session), Wait)
    assert isinstance(decided(ended(session)), Issue)


def test_periods_that_overlap_hold_the_session() -> None:
    period = one_period(NOON, NOON + HOUR, Decimal(1)).periods[0]
    session = ended(replace(running(60), usage=Usage(time_zone="Europe/Berlin", periods=(period, period))))

    outcome = decided(session)

    assert isinstance(outcome, Hold)
    assert outcome.reason == "not_ratable"


def test_an_ended_session_gets_no_more_interims_while_its_facts_are_awaited() -> None:
    session = replace(ended(running(60, 20_000)), complete_at=NOON + 2 * HOUR)

    assert decided(session) == Wait(next_at=NOON + 2 * HOUR)
    assert decided(replace(session, complete_at=None)) == Wait(next_at=NOON + HOUR + RECHECK)


def test_a_held_session_is_looked_at_again_without_a_signal() -> None:
    session = replace(running(60, 20_000), holds=frozenset({"energy_over_power"}))

    assert decided(session) == Wait(next_at=NOON + HOUR + RECHECK)


@pytest.mark.parametrize(
    "change", [{"every_s": 0}, {"every_wh": "x"}, {"every_amount": "-1"}, {"every_day": 1}, {"version": None}]
)
def test_an_interim_policy_that_cannot_be_followed_is_refused(change: dict[str, object]) -> None:
    body = InterimPolicy(version=3).to_dict()

    assert InterimPolicy.from_dict(body) == InterimPolicy(version=3)
    with pytest.raises(InterimPolicyInvalid, match=next(iter(change))):
        InterimPolicy.from_dict(body | change)
