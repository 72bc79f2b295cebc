"""What holds for any facts in any order and number."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from session_story import (
    NOON,
    at,
    ended,
    event,
    folded,
    neighbour,
    power,
    reading,
    register,
    started,
    status,
    updated,
)

from csms.protocol.vocabulary import ChargingState, EventKind, Sample, TokenStatus
from csms.sessions.facts import OnlineSpan, StoredEvent, StoredReading, Surroundings
from csms.sessions.periods import as_of, energy_wh_of, usage
from csms.sessions.review import FLAGS, HOLDS
from csms.sessions.session import Session
from tests.examples import tried

QUICK = tried(100)
THOROUGH = settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# --- one long session, shuffled and repeated -------------------------------------------------------------------------

_EVENTS = [
    started(0, at(0)),
    updated(1, at(1), charging_state=ChargingState.CHARGING),
    updated(1, at(1), charging_state=ChargingState.CHARGING, trigger="Trigger"),
    updated(3, at(20), charging_state=ChargingState.SUSPENDED_EV),
    updated(5, at(40), charging_state=ChargingState.CHARGING),
    updated(4, at(30), charging_state=ChargingState.SUSPENDED_EVSE),
    updated(2, at(10), charging_state=ChargingState.CHARGING),
    ended(6, at(60)),
    ended(6, at(60), stopped_reason="Local"),
]
_READINGS = [
    reading(at(0), register(1000, context="Transaction.Begin"), by="started"),
    *(reading(at(m), register(1000 + 150 * m), power(9000), by="updated") for m in (5, 10, 15, 20, 35, 50)),
    reading(at(60), register(10_000, context="Transaction.End"), by="ended"),
]


def _some_order(seed: int) -> tuple[list[StoredEvent], list[StoredReading]]:
    """All facts, some more than once; a repeat arrives later and perhaps with the offline mark."""
    dice = random.Random(seed)
    later = timedelta(minutes=dice.randrange(1, 5000))
    events = [*_EVENTS]
    for each in dice.choices(_EVENTS, k=dice.randrange(10)):
        again = replace(each.event, offline=dice.random() < 0.5)
        events.append(replace(each, event=again, received_at=each.received_at + later))
    readings = [*_READINGS]
    readings += [each._replace(received_at=each.received_at + later) for each in dice.choices(_READINGS, k=5)]
    dice.shuffle(events)
    dice.shuffle(readings)
    return events, readings


def _check_order(seed: int) -> None:
    events, readings = _some_order(seed)
    usual = folded(_EVENTS, _READINGS)

    assert folded(events, readings) == usual
    assert usual.energy_wh == 9000
    assert usual.holds == frozenset()


@QUICK
@given(seed=st.integers(min_value=0))
def test_any_order_and_any_repetition_of_the_facts_gives_the_same_session(seed: int) -> None:
    _check_order(seed)


@pytest.mark.slow
@THOROUGH
@given(seed=st.integers(min_value=0))
def test_any_order_and_any_repetition_gives_the_same_session_500_times(seed: int) -> None:
    _check_order(seed)


# --- anything at all -------------------------------------------------------------------------------------------------

_times = st.one_of(
    st.integers(-90, 90).map(at),
    st.datetimes(timezones=st.just(UTC)),
    st.sampled_from([datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)]),
)
_arrivals = st.integers(-90, 90).map(at)
_numbers = st.one_of(
    st.none(),
    st.integers(0, 9000).map(Decimal),
    st.decimals(places=5, min_value=-100, max_value=10_000),
    st.sampled_from(["NaN", "sNaN", "Infinity", "-1E+400", "1E-400", "909948", "4296944685"]).map(Decimal),
)
_samples = st.builds(
    Sample,
    value=_numbers,
    measurand=st.sampled_from(["Energy.Active.Import.Register", "Power.Active.Import", "Current.Import", "SoC"]),
    context=st.sampled_from(["Sample.Periodic", "Sample.Clock", "Transaction.Begin", "Transaction.End", "Other"]),
    phase=st.sampled_from([None, None, "L1", "L2-N", "L1-L2", "N"]),
    location=st.sampled_from(["Outlet", "Outlet", "Inlet"]),
    signed=st.sampled_from([None, "OCMF|x|y"]),
)
_readings = st.builds(
    lambda when, samples, by, received: reading(when, *samples, by=by, received=received),
    _times,
    st.lists(_samples, max_size=4),
    st.sampled_from(["started", "updated", "ended", "meter_values"]),
    _arrivals,
)
_events = st.builds(
    lambda kind, when, received, more: event(kind, when, received=received, **more),
    st.sampled_from(EventKind),
    _times,
    _arrivals,
    st.fixed_dictionaries(
        {},
        optional={
            "seq_no": st.integers(0, 5),
            "register_wh": _numbers,
            "token": st.sampled_from(["DEMO-1", "", None]),
            "evse": st.sampled_from([None, 1, 2]),
            "charging_state": st.sampled_from(ChargingState),
            "trigger": st.sampled_from(["CablePluggedIn", "EVDeparted", "Authorized"]),
            "stopped_reason": st.sampled_from(["Local", "EVDisconnected"]),
            "malformed": st.booleans(),
        },
    ),
)
_statuses = st.builds(
    status,
    st.sampled_from(["Available", "Charging", "SuspendedEV", "Finishing", "Occupied", "Faulted", "anything"]),
    st.one_of(st.none(), _times),
    received=_arrivals,
)
_spans = st.builds(OnlineSpan, since=_arrivals, until=st.one_of(st.none(), _arrivals))
_neighbours = st.one_of(
    st.none(),
    st.builds(
        lambda first, last, when: neighbour(
            started_at=when, ended_at=when, register_begin_wh=first, register_end_wh=last
        ),
        _numbers,
        _numbers,
        st.one_of(st.none(), _times),
    ),
)
_surroundings = st.builds(
    Surroundings,
    current=st.sampled_from(["AC", "DC", "?"]),
    max_power_w=_numbers,
    token_status=st.sampled_from([None, *TokenStatus]),
    statuses=st.lists(_statuses, max_size=5).map(tuple),
    online=st.lists(_spans, max_size=3).map(tuple),
    previous=_neighbours,
    following=_neighbours,
    queue_empty=st.booleans(),
    still_ongoing=st.sampled_from([None, True, False]),
    clock_offset_s=_numbers,
    held_by_ingest=st.sampled_from([frozenset(), frozenset({"start_ambiguous"})]),
)


def _check_anything(
    events: Sequence[StoredEvent], readings: Sequence[StoredReading], surroundings: Surroundings, seed: int
) -> None:
    """It never raises; whatever it says is whole, finite, in order, and known to the review."""
    session = folded(events, readings, surroundings, now=at(100))
    dice = random.Random(seed)
    shuffled = dice.sample([*events, *events], k=2 * len(events))
    again = dice.sample([*readings, *readings], k=2 * len(readings))

    assert folded(shuffled, again, surroundings, now=at(100)) == session
    assert session.energy_wh.is_finite()
    assert session.energy_wh >= 0
    assert session.holds <= HOLDS.keys()
    assert session.flags <= FLAGS.keys()
    _check_usage(session, surroundings)


def _check_usage(session: Session, surroundings: Surroundings) -> None:
    instant = as_of(session, surroundings, now=at(100))
    assert instant is not None
    found = usage(session, as_of=instant)
    if session.priced_from is None or not found.periods:
        return
    assert found.periods[0].start == session.priced_from
    assert all(period.start <= period.end for period in found.periods)
    assert all(first.end == second.start for first, second in pairwise(found.periods))
    assert all(period.energy_wh is None or period.energy_wh >= 0 for period in found.periods)
    if session.ended_at is not None:
        assert energy_wh_of(found) == session.energy_wh


@QUICK
@given(
    events=st.lists(_events, min_size=1, max_size=6),
    readings=st.lists(_readings, max_size=8),
    surroundings=_surroundings,
    seed=st.integers(),
)
def test_no_facts_make_the_fold_raise_or_depend_on_their_order(
    events: list[StoredEvent], readings: list[StoredReading], surroundings: Surroundings, seed: int
) -> None:
    _check_anything(events, readings, surroundings, seed)


@pytest.mark.slow
@settings(THOROUGH, max_examples=1000)
@given(
    events=st.lists(_events, min_size=1, max_size=6),
    readings=st.lists(_readings, max_size=8),
    surroundings=_surroundings,
    seed=st.integers(),
)
def test_no_facts_make_the_fold_raise_or_depend_on_their_order_1000_times(
    events: list[StoredEvent], readings: list[StoredReading], surroundings: Surroundings, seed: int
) -> None:
    _check_anything(events, readings, surroundings, seed)


# --- plausible sessions ----------------------------------------------------------------------------------------------


@QUICK
@given(
    steps=st.lists(st.tuples(st.integers(1, 900), st.decimals(places=3, min_value=0, max_value=50)), max_size=40),
    states=st.lists(st.tuples(st.integers(0, 30_000), st.sampled_from(ChargingState)), max_size=10),
    cut=st.integers(1, 30_000),
)
def test_the_periods_of_a_session_add_up_to_its_energy_wherever_it_is_cut(
    steps: list[tuple[int, Decimal]], states: list[tuple[int, ChargingState]], cut: int
) -> None:
    when, wh, readings = NOON, Decimal(1000), [reading(NOON, register(1000, context="Transaction.Begin"), by="started")]
    for seconds, more in steps:
        when, wh = when + timedelta(seconds=seconds), wh + more
        readings.append(reading(when, register(wh), by="updated"))
    events = [started(0)]
    events += [updated(1 + n, NOON + timedelta(seconds=s), charging_state=state) for n, (s, state) in enumerate(states)]
    last = max([when, *(each.event.at for each in events)]) + timedelta(seconds=1)
    events.append(ended(len(events), last))
    readings.append(reading(last, register(wh, context="Transaction.End"), by="ended"))
    session = folded(events, readings)
    moment = NOON + timedelta(seconds=cut)
    before, whole = usage(session, as_of=moment), usage(session, as_of=last)

    assert session.energy_wh == wh - 1000
    assert energy_wh_of(whole) == session.energy_wh
    assert energy_wh_of(before) <= session.energy_wh
    assert whole.periods[-1].end == last
    assert all(first.end == second.start for first, second in pairwise(whole.periods))
