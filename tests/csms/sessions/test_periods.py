"""Sessions as rows of periods."""

from __future__ import annotations

from decimal import Decimal

import pytest
from session_story import around, at, ended, folded, power, reading, register, start, started, status, stop, updated

from billing import PeriodKind, Usage
from csms.protocol.vocabulary import ChargingState, Sample
from csms.sessions.facts import OnlineSpan
from csms.sessions.periods import energy_wh_of, usage
from csms.sessions.session import Session

CHARGING, PARKING = PeriodKind.CHARGING, PeriodKind.PARKING


def _rows(found: Usage) -> list[tuple[PeriodKind, int, int, str | None]]:
    return [
        (
            period.kind,
            round((period.start - at()).total_seconds() / 60),
            round((period.end - at()).total_seconds() / 60),
            None if period.energy_wh is None else f"{period.energy_wh:f}",
        )
        for period in found.periods
    ]


def _session(*statuses: tuple[str, int], online_until: int | None = None) -> Session:
    online = (OnlineSpan(since=at(-60), until=None if online_until is None else at(online_until)),)
    given = tuple(status(word, at(minute)) for word, minute in statuses)
    events = [start(0), stop(12_000, at(60))]
    return folded(events, [reading(at(30), register(10_000))], around(statuses=given, online=online))


def test_periods_are_cut_at_readings_and_states_and_energy_is_interpolated_between() -> None:
    session = _session(("Charging", 0), ("SuspendedEV", 45), ("Available", 70))

    assert session.time_zone == usage(session, as_of=at(60)).time_zone == "Europe/Berlin"
    assert _rows(usage(session, as_of=at(60))) == [
        (CHARGING, 0, 30, "10000.000"),
        (CHARGING, 30, 45, "1000.000"),
        (PARKING, 45, 60, "1000.000"),
    ]


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("SuspendedEV", PARKING),
        ("Finishing", PARKING),
        ("SuspendedEVSE", CHARGING),
        ("Charging", CHARGING),
        ("Preparing", CHARGING),
        ("Faulted", CHARGING),
    ],
)
def test_what_counts_as_parking_in_16(word: str, kind: PeriodKind) -> None:
    assert _rows(usage(_session((word, 30)), as_of=at(60)))[-1][0] is kind


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        (ChargingState.SUSPENDED_EV, PARKING),
        (ChargingState.IDLE, PARKING),
        (ChargingState.EV_CONNECTED, PARKING),
        (ChargingState.SUSPENDED_EVSE, CHARGING),
    ],
)
def test_what_counts_as_parking_in_201_after_charging(state: ChargingState, kind: PeriodKind) -> None:
    events = [
        started(0),
        updated(1, at(5), charging_state=ChargingState.CHARGING),
        updated(2, at(30), charging_state=state),
        ended(3, at(60)),
    ]

    assert usage(folded(events), as_of=at(60)).periods[-1].kind is kind


def test_a_vehicle_that_waits_for_its_first_power_is_charging_time() -> None:
    assert usage(folded([started(0)], now=at(9)), as_of=at(9)).periods[0].kind is CHARGING


def test_what_flowed_before_the_token_came_stands_in_the_first_period() -> None:
    events = [started(0, token=None), updated(1, at(10), token="DEMO-1"), ended(2, at(30))]
    readings = [
        reading(at(0), register(0, context="Transaction.Begin"), by="started"),
        reading(at(20), register(2000), by="updated"),
        reading(at(30), register(3000, context="Transaction.End"), by="ended"),
    ]
    found = usage(folded(events, readings), as_of=at(30))

    assert _rows(found) == [(CHARGING, 10, 20, "2000.000"), (CHARGING, 20, 30, "1000.000")]


def test_time_after_the_newest_register_has_no_energy_yet() -> None:
    session = folded([start(0)], [reading(at(10), register(900))], now=at(15))

    assert _rows(usage(session, as_of=at(15))) == [(CHARGING, 0, 10, "900.000"), (CHARGING, 10, 15, None)]


def test_an_earlier_instant_shows_the_session_as_far_as_it_had_come() -> None:
    found = usage(_session(("Charging", 0)), as_of=at(15))

    assert _rows(found) == [(CHARGING, 0, 15, "5000.000")]


def test_a_session_nobody_pays_for_has_no_periods() -> None:
    assert usage(folded([started(0, token=None)]), as_of=at(9)).periods == ()


def test_power_and_current_are_those_measured_in_the_period() -> None:
    amps = [
        Sample(value=Decimal(16), measurand="Current.Import", unit="A", phase=phase) for phase in ("L1", "L2", "L3")
    ]
    readings = [
        reading(at(0), register(0, context="Transaction.Begin"), power(0, context="Transaction.Begin"), by="started"),
        reading(at(30), register(5500), power(11_000), *amps, by="updated"),
        reading(at(60), register(9000, context="Transaction.End"), power(0, context="Transaction.End"), by="ended"),
    ]
    found = usage(folded([started(0), updated(1, at(30)), ended(2, at(60))], readings), as_of=at(60))

    assert [(period.power_w, period.current_a) for period in found.periods] == [(11_000, 48), (11_000, 48)]


# --- the stay after the stop -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statuses", "online_until", "stay"),
    [
        ((("Charging", 0), ("Finishing", 60), ("Available", 80)), None, (60, 80)),
        ((("Charging", 0), ("Finishing", 60), ("Available", 80)), 70, (60, 70)),
        ((("Charging", 0), ("Finishing", 60)), None, (60, None)),
        ((("Charging", 0), ("Finishing", 60), ("Faulted", 65)), None, (60, 65)),
        ((("Charging", 0), ("Available", 59), ("Finishing", 61)), None, (None, None)),
    ],
)
def test_a_stay_is_what_is_proven_of_the_occupation_and_no_part_of_the_session(
    statuses: tuple[tuple[str, int], ...], online_until: int | None, stay: tuple[int | None, int | None]
) -> None:
    session = _session(*statuses, online_until=online_until)
    found = usage(session, as_of=at(90))

    assert (session.idle_from, session.idle_until) == tuple(None if each is None else at(each) for each in stay)
    assert max(period.end for period in found.periods) == at(60)
    assert energy_wh_of(found) == 12_000


def test_a_stop_by_unplugging_leaves_no_stay() -> None:
    unplugged = folded([start(0), stop(9, at(60), stopped_reason="EVDisconnected")])

    assert (unplugged.released_at, unplugged.idle_from) == (at(60), None)
