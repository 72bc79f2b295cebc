"""The quirks of meters in the field, with the figures that charge points sent."""

from __future__ import annotations

from decimal import Decimal

import pytest
from session_story import (
    NOON,
    around,
    at,
    ended,
    folded,
    neighbour,
    power,
    reading,
    register,
    start,
    started,
    stop,
    updated,
)

from csms.sessions.facts import StoredEvent, StoredReading
from csms.sessions.periods import energy_wh_of, usage
from csms.sessions.session import EnergySource

BEGIN, END = "Transaction.Begin", "Transaction.End"


# --- zero baseline: offline start with register 0, then 909,948 Wh, end 910,031 Wh ------------------------------------


def _zero_baseline(version: str) -> tuple[list[StoredEvent], list[StoredReading]]:
    if version == "1.6":
        return (
            [start(0), stop(910_031, at(40))],
            [reading(at(20), register(909_948))],
        )
    return (
        [started(0, offline=True), updated(1, at(20)), ended(2, at(40))],
        [
            reading(NOON, register(0, context=BEGIN), by="started"),
            reading(at(20), register(909_948), by="updated"),
            reading(at(40), register(910_031, context=END), by="ended"),
        ],
    )


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
@pytest.mark.parametrize("max_power_w", [None, Decimal(22_000), Decimal(350_000)])
def test_a_zero_baseline_never_shows_more_than_what_flowed_after_it(version: str, max_power_w: Decimal | None) -> None:
    events, readings = _zero_baseline(version)
    surroundings = around(max_power_w=max_power_w)
    seen = []
    for count in (1, 2, len(events)):
        some = [each for each in readings if each.received_at <= events[count - 1].received_at]
        running = folded(events[:count], some, surroundings, now=at(41))
        seen.append((running.energy_wh, energy_wh_of(usage(running, as_of=at(41)))))
    whole = folded(events, readings, surroundings)

    assert max(seen) <= (83, 83)
    assert whole.energy_wh == 83
    assert whole.holds == {"zero_baseline_jump"}
    assert energy_wh_of(usage(whole, as_of=at(40))) == 83


def test_a_running_session_is_held_as_soon_as_the_baseline_jumps() -> None:
    events, readings = _zero_baseline("1.6")
    session = folded(events[:1], readings, now=at(21))

    assert (session.energy_wh, session.holds) == (0, {"zero_baseline_jump"})


def test_a_zero_baseline_with_nothing_read_between_shows_nothing() -> None:
    session = folded([start(0), stop(910_031, at(40))])

    assert (session.energy_wh, session.holds) == (0, {"zero_baseline_jump"})


def test_a_zero_start_below_the_previous_end_counts_from_where_that_ended() -> None:
    lifetime = neighbour(register_begin_wh=Decimal(900_000), register_end_wh=Decimal(909_948))
    session = folded([start(0), stop(910_031, at(40))], surroundings=around(previous=lifetime))

    assert (session.energy_wh, session.holds) == (83, {"zero_baseline_jump"})


def test_registers_counted_per_session_are_no_zero_baseline() -> None:
    before = neighbour(register_begin_wh=Decimal(0), register_end_wh=Decimal(2500))
    session = folded([start(0), stop(8000, at(60))], surroundings=around(previous=before))

    assert (session.energy_wh, session.holds, session.flags) == (8000, frozenset(), {"register_gap"})


# --- quirks by number ------------------------------------------------------------------------------------------------


def test_quirk_33_kwh_labelled_wh_does_not_fit_the_measured_power() -> None:
    events = [started(), ended(1, at(60))]
    readings = [reading(at(m), register(f"12.{m:02d}"), power(7400), by="updated") for m in range(0, 60, 10)]
    session = folded(events, readings)

    assert "unit_suspect" in session.holds


def test_quirk_33_power_in_kw_labelled_w_does_not_fit_either() -> None:
    readings = [reading(at(m), register(1000 + 120 * m), power("7.2")) for m in (10, 20, 30, 40, 50)]
    session = folded([start(1000), stop(8200, at(60))], readings)

    assert session.holds == {"unit_suspect"}


def test_a_meter_that_has_not_yet_counted_its_first_kwh_is_no_other_unit() -> None:
    readings = [reading(at(m), register(1000), power(7200)) for m in (2, 4, 6, 8)]

    assert folded([start(1000)], readings, now=at(9)).holds == frozenset()


def test_power_that_fits_is_no_reason_to_hold() -> None:
    readings = [reading(at(m), register(1000 + 120 * m), power(7200)) for m in (10, 20, 30, 40, 50)]

    assert folded([start(1000), stop(8200, at(60))], readings).holds == frozenset()


def test_quirk_35_registers_counted_per_session_beside_lifetime_ones_never_move_the_interim() -> None:
    readings = [reading(at(10), register(1500)), reading(at(20), register(3000))]
    running = folded([start(5_000_000)], readings, now=at(21))
    whole = folded([start(5_000_000), stop(5_004_000, at(30))], readings)

    assert (running.energy_wh, running.holds) == (0, {"stop_before_start_register"})
    assert (whole.energy_wh, whole.holds, whole.flags) == (4000, frozenset(), {"readings_below_start"})


def test_quirk_36_registers_beyond_32_bits_are_just_numbers() -> None:
    session = folded([start(4_296_944_685), stop(4_296_949_685, at(30))])

    assert (session.energy_wh, session.holds) == (5000, frozenset())


def test_quirk_38_a_begin_register_next_to_a_periodic_one_is_the_begin_and_nothing_else() -> None:
    events = [started(), updated(1, at(10)), ended(2, at(30))]
    readings = [
        reading(at(10), register(1000, context=BEGIN), register(2000), by="updated"),
        reading(at(30), register(1000, context=BEGIN), register(6000, context=END), by="ended"),
    ]
    running = folded(events[:2], readings[:1], now=at(11))
    whole = folded(events, readings)

    assert (running.energy_wh, whole.energy_wh) == (1000, 5000)
    assert (whole.begin_wh, whole.holds, whole.energy_source) == (1000, frozenset(), EnergySource.REGISTER)


def test_quirk_40_a_register_that_drops_out_is_flagged_and_the_rest_counts() -> None:
    readings = [reading(at(10), register(2000)), reading(at(20), register(1500)), reading(at(30), register(4000))]
    during = folded([start(1000)], readings[:2], now=at(21))
    whole = folded([start(1000), stop(5000, at(40))], readings)

    assert (during.energy_wh, during.holds) == (1000, {"register_backwards"})
    assert (whole.energy_wh, whole.holds, whole.flags) == (4000, frozenset(), {"register_dropout"})
    assert [point.energy_wh for point in whole.points] == [0, 1000, 3000, 4000]


def test_quirk_41_a_whole_life_billed_as_one_session_is_held() -> None:
    session = folded([start(0), stop(939_000, at(120))], [reading(at(60), register(400))])

    assert {"energy_over_limit", "energy_over_power"} <= session.holds


def test_quirk_42_phases_that_all_show_the_total_count_once() -> None:
    phases = [[register(wh, phase=phase) for phase in ("L1", "L2", "L3")] for wh in (1000, 4000)]
    events = [started(), ended(1, at(30))]
    readings = [reading(NOON, *phases[0], by="started"), reading(at(30), *phases[1], by="ended")]
    session = folded(events, readings)

    assert session.energy_wh == 3000
    assert "phases_only" in session.flags


def test_quirk_42_phases_that_differ_are_added() -> None:
    first = [register(wh, phase=phase) for phase, wh in (("L1", 100), ("L2", 200), ("L3", 300))]
    last = [register(wh, phase=phase) for phase, wh in (("L1", 1100), ("L2", 1200), ("L3", 1300))]
    readings = [reading(NOON, *first, by="started"), reading(at(30), *last, by="ended")]

    assert folded([started(), ended(1, at(30))], readings).energy_wh == 3000


def test_a_total_beside_phases_wins() -> None:
    mixed = [register(999_999, phase="L1"), register(3000)]
    session = folded([start(1000)], [reading(at(20), *mixed)], now=at(21))

    assert (session.energy_wh, session.holds) == (2000, frozenset())


def test_quirk_43_without_a_begin_the_first_register_counts_and_is_flagged() -> None:
    events = [started(), updated(1, at(5)), ended(2, at(30))]
    readings = [reading(at(5), register(2000), by="updated"), reading(at(30), register(5000, context=END), by="ended")]
    session = folded(events, readings)

    assert (session.energy_wh, session.energy_source) == (3000, EnergySource.SAMPLES)
    assert (session.flags, session.holds) == ({"no_begin_reading"}, frozenset())


def test_without_an_end_the_last_register_counts_and_is_flagged() -> None:
    readings = [
        reading(NOON, register(2000, context=BEGIN), by="started"),
        reading(at(20), register(5000), by="updated"),
    ]
    session = folded([started(), updated(1, at(20)), ended(2, at(30))], readings)

    assert (session.energy_wh, session.flags, session.holds) == (3000, {"no_end_reading"}, frozenset())


def test_one_register_alone_tells_no_energy() -> None:
    session = folded([started(), ended(1, at(30))], [reading(NOON, register(2000, context=BEGIN), by="started")])

    assert (session.energy_wh, session.holds) == (0, {"register_missing"})


def test_an_end_without_any_reading_is_held() -> None:
    session = folded([started(), ended(1, at(30))])

    assert (session.energy_source, session.holds) == (EnergySource.NONE, {"register_missing"})


def test_quirk_45_a_register_that_comes_after_the_stop_is_evidence() -> None:
    late = [
        reading(at(30, seconds=40), register("2259992.1")),
        reading(at(29), register(2_259_000), received=at(31)),
    ]
    session = folded([start(2_250_000), stop(2_259_988, at(30))], late)

    assert (session.energy_wh, session.holds, session.flags) == (9988, frozenset(), {"readings_outside"})
    assert len(session.points) == 2


def test_quirk_92_one_wh_back_counts_as_standing_still() -> None:
    session = folded([start(5000), stop(4999, at(30))])

    assert (session.energy_wh, session.holds) == (0, frozenset())
    assert "ran back by 1" in session.notes[0]


def test_a_register_that_ran_back_further_is_held_and_never_negative() -> None:
    session = folded([start(5000), stop(4000, at(30))])

    assert (session.energy_wh, session.holds) == (0, {"stop_before_start_register"})


# --- conflicts -------------------------------------------------------------------------------------------------------


def test_two_registers_of_one_instant_are_held_and_the_first_received_counts() -> None:
    first = reading(at(20), register(3000), received=at(20))
    second = reading(at(20), register(9000), received=at(25))
    session = folded([start(1000)], [second, first], now=at(30))

    assert (session.energy_wh, session.holds) == (2000, {"reading_conflict"})


def test_two_begin_registers_are_held_and_the_first_received_counts() -> None:
    events = [started(), ended(1, at(30))]
    readings = [
        reading(NOON, register(1000, context=BEGIN), by="started"),
        reading(NOON, register(500, context=BEGIN), by="started", received=at(5)),
        reading(at(30), register(5000, context=END), by="ended"),
    ]
    session = folded(events, readings)

    assert (session.energy_wh, session.holds) == (4000, {"reading_conflict"})


def test_power_and_register_in_two_readings_of_one_instant_are_no_conflict() -> None:
    session = folded([start(1000)], [reading(at(20), register(3000)), reading(at(20), power(6000))], now=at(21))

    assert (session.energy_wh, session.holds) == (2000, frozenset())


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1E+400", "99999999999999"])
def test_a_register_that_is_no_number_is_held_and_never_counted(value: str) -> None:
    by_stop = folded([start(1000), stop(value, at(30))], [reading(at(20), register(3000))])
    by_reading = folded([start(1000), stop(4000, at(30))], [reading(at(20), register(value))])

    assert (by_stop.energy_wh, by_reading.energy_wh) == (2000, 3000)
    assert "value_invalid" in by_stop.holds & by_reading.holds


def test_only_the_outlet_is_billed() -> None:
    inlet = register(9000, location="Inlet")
    session = folded([start(1000)], [reading(at(20), register(3000), inlet)], now=at(21))

    assert session.energy_wh == 2000


def test_signed_begin_and_end_are_named_as_the_source() -> None:
    readings = [
        reading(NOON, register(1000, context=BEGIN, signed="OCMF|a|b"), by="started"),
        reading(at(30), register(3000, context=END, signed="OCMF|c|d"), by="ended"),
    ]

    assert folded([started(), ended(1, at(30))], readings).energy_source is EnergySource.SIGNED


# --- jumps -----------------------------------------------------------------------------------------------------------


def test_a_register_that_jumps_stops_the_interim_where_it_was() -> None:
    readings = [reading(at(10), register(2000)), reading(at(11), register(60_000))]
    running = folded([start(1000)], readings, now=at(12))
    whole = folded([start(1000), stop(60_500, at(20))], readings)

    assert (running.energy_wh, running.holds) == (1000, {"register_jump"})
    assert whole.energy_wh == 59_500
    assert whole.holds == {"register_jump", "energy_over_power"}


def test_a_meter_that_counts_in_tenths_of_a_kwh_does_not_jump() -> None:
    readings = [reading(at(0, seconds=s), register(1000 + 100 * (s // 20))) for s in range(5, 600, 5)]

    assert folded([start(1000)], readings, now=at(11)).holds == frozenset()
