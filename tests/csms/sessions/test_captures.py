"""Sessions of four foreign charge point stacks, as their frames told them, with the holds that are right for each."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from session_story import (
    around,
    ended,
    folded,
    neighbour,
    reading,
    register,
    start,
    started,
    status,
    stop,
    time,
    updated,
)

from csms.protocol.vocabulary import ChargingState, Sample
from csms.sessions.facts import StoredReading, Surroundings
from csms.sessions.periods import energy_wh_of, usage
from csms.sessions.session import EnergySource, Session

BEGIN, END = "Transaction.Begin", "Transaction.End"
DAY = timedelta(days=1)


def _told_nothing(**more: object) -> Surroundings:
    """Registered without its power: AC is assumed."""
    return around(max_power_w=None, **more)


def test_vcp_16_first_session_is_its_register_difference_and_arrived_ten_months_late() -> None:
    heard = time("2026-11-22T03:13:36Z")
    events = [
        start(1000, time("2026-01-01T00:00:00Z"), received=heard),
        stop(2500, time("2026-01-01T01:00:00Z"), received=heard + timedelta(seconds=17)),
    ]
    stray = reading(time("2026-11-22T03:13:52.271Z"), register("150.02"), received=heard + timedelta(seconds=15))
    session = folded(events, [stray], _told_nothing(), now=heard + DAY)

    assert session.energy_wh == 1500
    # 325 days between end and arrival; nothing else is wrong. The reading is stamped after the end: evidence.
    assert session.holds == {"late"}
    assert session.flags == {"readings_outside"}


def test_vcp_16_first_session_is_too_long_while_its_stop_is_unknown() -> None:
    heard = time("2026-11-22T03:13:36Z")
    running = folded([start(1000, time("2026-01-01T00:00:00Z"), received=heard)], [], _told_nothing(), now=heard)

    assert running.holds == {"too_long"}


def test_vcp_16_second_session_is_its_register_difference() -> None:
    events = [start(0, time("2026-11-22T03:13:58.512Z")), stop(320, time("2026-11-22T03:14:30.529Z"))]
    readings = [
        reading(time("2026-11-22T03:14:13.527Z"), register("150.05")),
        reading(time("2026-11-22T03:14:28.599Z"), register("300.77")),
    ]
    before = neighbour(register_begin_wh=Decimal(1000), register_end_wh=Decimal(2500))
    session = folded(events, readings, _told_nothing(previous=before), now=time("2026-11-23T00:00:00Z"))

    assert session.energy_wh == 320
    # 36 kW: more than AC has, which nobody said it is; its register starts anew. Both are worth a flag, no more.
    assert session.holds == frozenset()
    assert session.flags == {"power_unknown", "register_gap"}


def test_vcp_16_second_session_is_held_where_the_power_is_known_to_be_22_kw() -> None:
    events = [start(0, time("2026-11-22T03:13:58.512Z")), stop(320, time("2026-11-22T03:14:30.529Z"))]
    session = folded(events, [], around(max_power_w=Decimal(22_000)), now=time("2026-11-23T00:00:00Z"))

    assert session.holds == {"energy_over_power"}


def _java_201(first: int, stamps: list[str], previous: Decimal | None) -> Session:
    plugged, authorised, *periodic, end = [time(f"2026-11-22T03:58:{each}Z") for each in stamps]
    charging = ChargingState.CHARGING
    events = [
        started(first, plugged, token=None, trigger="CablePluggedIn"),
        updated(first + 1, authorised, token="TAG001", charging_state=charging, trigger="Authorized"),
        *(updated(first + 2 + n, each, charging_state=charging) for n, each in enumerate(periodic)),
        ended(first + 5, end, charging_state=ChargingState.IDLE, token="TAG001"),
    ]
    readings = [
        reading(plugged, register(1000, context=BEGIN), by="started"),
        *(reading(each, register(1500 + 500 * n), by="updated") for n, each in enumerate(periodic)),
        reading(end, register(3000, context=END), by="ended"),
    ]
    before = None if previous is None else neighbour(register_begin_wh=Decimal(1000), register_end_wh=previous)
    return folded(events, readings, _told_nothing(previous=before), now=time("2026-11-23T00:00:00Z"))


def test_java_201_sessions_are_their_register_difference_and_impossibly_fast() -> None:
    first = _java_201(0, ["29.445", "29.464", "30.168", "30.874", "31.579", "31.584"], None)
    second = _java_201(6, ["46.465", "46.474", "47.180", "47.885", "48.591", "51.502"], Decimal(3000))

    assert (first.energy_wh, second.energy_wh) == (2000, 2000)
    assert (first.token, first.priced_from) == ("TAG001", time("2026-11-22T03:58:29.464Z"))
    # 2 kWh in two and in five seconds are megawatts, as a whole and from reading to reading.
    assert first.holds == second.holds == {"energy_over_power", "register_jump"}
    assert first.flags == {"power_unknown"}
    assert second.flags == {"power_unknown", "register_gap"}
    assert energy_wh_of(usage(first, as_of=first.ended_at)) == 2000


def _phases(when: datetime, *, transaction: str | None, context: str = "Sample.Periodic") -> StoredReading:
    samples: list[Sample] = [register(123_456, phase=phase, context=context) for phase in ("L1", "L2", "L3")]
    return reading(when, *samples, transaction=transaction)


def _tfocpp(begin: str, end: str, readings: list[StoredReading]) -> Session:
    first, last = time(f"2026-11-22T03:{begin}Z"), time(f"2026-11-22T03:{end}Z")
    words = ["SuspendedEVSE", "SuspendedEV", "Charging"]
    row = [status(word, first + timedelta(seconds=n)) for n, word in enumerate(words)]
    statuses = (status("Preparing", first - timedelta(seconds=1)), *row, status("Finishing", last))
    surroundings = _told_nothing(statuses=(*statuses, status("Available", last + timedelta(seconds=3))))
    events = [start(1234, first, token="TAG001"), stop(1234, last)]
    return folded(events, readings, surroundings, now=time("2026-11-23T00:00:00Z"))


def test_tfocpp_16_sessions_take_nothing_and_are_waived() -> None:
    loose = [
        _phases(time("1970-01-01T01:04:39Z"), transaction=None, context="Sample.Clock"),
        _phases(time("2026-11-22T03:42:49Z"), transaction=None, context="Sample.Clock"),
    ]
    first = _tfocpp("42:55", "43:05", loose)
    second = _tfocpp(
        "43:15", "43:24", [_phases(time(f"2026-11-22T03:43:{s}Z"), transaction="7") for s in (15, 18, 20, 22)]
    )
    third = _tfocpp("43:31", "43:39", [_phases(time(f"2026-11-22T03:43:{s}Z"), transaction="7") for s in (31, 34)])

    # Every phase shows the meter's total, 122 kWh above the declared start: never progress, only a flag.
    assert [each.energy_wh for each in (first, second, third)] == [0, 0, 0]
    assert [each.holds for each in (first, second, third)] == [frozenset()] * 3
    assert first.flags == {"zero_energy", "readings_outside"}
    assert second.flags == third.flags == {"zero_energy", "phases_only"}


def test_vcp_201_ends_and_is_held_and_no_absurd_interim_leaves() -> None:
    stamps = [time(f"2026-11-22T03:11:{each}Z") for each in ("20.030", "35.040", "50.085", "52.055")]
    more = {"evse": 1, "connector": 1}
    events = [
        started(0, stamps[0], token="TAG001", charging_state=None, trigger="Authorized", remote_start=11),
        updated(0, stamps[1], **more),
        updated(0, stamps[2], **more),
        ended(0, stamps[3], trigger="RemoteStop", **more),
    ]
    readings = [
        reading(stamps[0], register(0), by="started"),
        reading(stamps[1], register(150_100), by="updated"),
        reading(stamps[2], register(300_560), by="updated"),
        reading(stamps[3], register("320.26", context=END, signed="T0NNRg=="), by="ended"),
    ]
    running = [folded(events[:n], readings[:n], _told_nothing(), now=stamps[3]) for n in (2, 3)]
    whole = folded(events, readings, _told_nothing(), now=time("2026-11-23T00:00:00Z"))

    assert [each.energy_wh for each in running] == [0, 0]
    assert [each.holds for each in running] == [{"zero_baseline_jump"}, {"zero_baseline_jump", "register_jump"}]
    assert (whole.closed, whole.energy_wh, whole.energy_source) == (True, Decimal("320.26"), EnergySource.SAMPLES)
    # 150 kWh in 15 s is a jump, and the end register is far below what was read before it.
    assert whole.holds == {"register_jump", "register_backwards"}
    # seqNo is 0 in every event, the begin is not declared as such, 36 kW is more than AC has.
    assert whole.flags == {"sequence_unusable", "no_begin_reading", "power_unknown"}
    assert whole.complete_at == stamps[3] + timedelta(seconds=60)
