"""From facts to sessions: ends, completeness, who pays from when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
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
    status,
    stop,
    told,
    updated,
)

from csms.protocol.vocabulary import ChargingState, TokenStatus
from csms.sessions.facts import Neighbour, OnlineSpan, StoredEvent, StoredReading, StoredStatus
from csms.sessions.fold import NoFacts
from csms.sessions.periods import as_of, usage
from csms.sessions.session import Activity, Completeness, EndSource, EnergySource, Session


def _spoken_in_16() -> tuple[list[StoredEvent], list[StoredReading], tuple[StoredStatus, ...]]:
    events = [start(1000), stop(11_000, at(60))]
    readings = [
        reading(at(15), register(3500), power(10_000)),
        reading(at(30), register(6000), power(10_000)),
        reading(at(50), register(10_500), power(0)),
    ]
    statuses = (
        status("Preparing", at(-1)),
        status("Charging", at(1)),
        status("SuspendedEVSE", at(20)),
        status("Charging", at(25)),
        status("SuspendedEV", at(45)),
        status("Finishing", at(60, seconds=1)),
        status("Available", at(65)),
    )
    return events, readings, statuses


def _spoken_in_201() -> tuple[list[StoredEvent], list[StoredReading], tuple[StoredStatus, ...]]:
    charging, begin, end = ChargingState.CHARGING, "Transaction.Begin", "Transaction.End"
    events = [
        started(0, at(0)),
        updated(1, at(1), charging_state=charging, trigger="ChargingStateChanged"),
        updated(2, at(15), charging_state=charging),
        updated(3, at(20), charging_state=ChargingState.SUSPENDED_EVSE),
        updated(4, at(25), charging_state=charging),
        updated(5, at(30), charging_state=charging),
        updated(6, at(45), charging_state=ChargingState.SUSPENDED_EV),
        updated(7, at(50), charging_state=ChargingState.SUSPENDED_EV),
        ended(8, at(60), charging_state=ChargingState.EV_CONNECTED),
    ]
    readings = [
        reading(at(0), register(1000, context=begin), by="started"),
        reading(at(15), register(3500), power(10_000), by="updated"),
        reading(at(30), register(6000), power(10_000), by="updated"),
        reading(at(50), register(10_500), power(0), by="updated"),
        reading(at(60), register(11_000, context=end), by="ended"),
    ]
    occupied = (status("Occupied", at(-1)), status("Available", at(65)))
    return events, readings, occupied


def test_both_versions_tell_the_same_session_and_the_same_periods() -> None:
    events, readings, statuses = _spoken_in_16()
    first = folded(events, readings, around(statuses=statuses))
    events, readings, statuses = _spoken_in_201()
    second = folded(events, readings, around(statuses=statuses))

    assert told(first) == told(second)
    assert usage(first, as_of=at(60)) == usage(second, as_of=at(60))
    assert first.energy_wh == 10_000
    assert first.energy_source is EnergySource.REGISTER
    assert (first.holds, first.flags, first.released_at) == (frozenset(), frozenset(), at(65))
    assert [change.activity for change in first.states] == [
        Activity.CONNECTED,
        Activity.CHARGING,
        Activity.SUSPENDED_EVSE,
        Activity.CHARGING,
        Activity.SUSPENDED_EV,
    ]


def test_both_versions_agree_while_the_session_runs() -> None:
    events, readings, statuses = _spoken_in_16()
    soon = [each for each in readings if each.reading.at <= at(30)]
    first = folded(events[:1], soon, around(statuses=statuses[:4]), now=at(31))
    events, readings, statuses = _spoken_in_201()
    soon = [each for each in readings if each.reading.at <= at(30)]
    second = folded(events[:6], soon, around(statuses=statuses[:1]), now=at(31))

    assert told(first) == told(second)
    assert first.energy_wh == 5000
    assert as_of(first, around(), now=at(31)) == at(31)
    assert usage(first, as_of=at(31)) == usage(second, as_of=at(31))


def test_a_session_without_events_is_refused() -> None:
    with pytest.raises(NoFacts, match="session 7 has no event"):
        folded([], [reading(at(1), register(1))])


# --- rated from when -------------------------------------------------------------------------------------------------


def test_a_token_that_comes_later_is_who_pays_from_then_on() -> None:
    events = [
        started(0, at(0), token=None, trigger="CablePluggedIn"),
        updated(1, at(5), token="DEMO-1", charging_state=ChargingState.CHARGING),
        ended(2, at(30), token="DEMO-9"),
    ]
    session = folded(events)

    assert (session.token, session.started_at, session.priced_from) == ("DEMO-1", at(0), at(5))


def test_parking_bay_occupancy_prices_nothing_until_the_cable_is_in() -> None:
    events = [
        started(0, at(0), trigger="EVDetected", charging_state=ChargingState.IDLE),
        updated(1, at(9), trigger="CablePluggedIn", charging_state=ChargingState.EV_CONNECTED),
        ended(2, at(30)),
    ]

    assert folded(events).priced_from == at(9)


def test_a_token_that_only_stops_a_session_never_pays_for_it() -> None:
    session = folded([started(0, token=None), ended(1, at(30), token="DEMO-9")])

    assert (session.token, session.priced_from) == (None, None)


def test_the_tariff_is_chosen_in_corrected_time() -> None:
    session = folded([start()], surroundings=around(clock_offset_s=Decimal("120.7")))

    assert session.priced_from == NOON
    assert session.tariff_at == NOON - timedelta(seconds=120)
    assert session.flags == {"clock_offset"}


# --- dropped ---------------------------------------------------------------------------------------------------------


def test_a_session_without_token_and_energy_is_dropped_with_a_reason_and_not_held() -> None:
    nobody = around(token_status=None)
    session = folded([start(1000, token=None), stop(1050, at(9))], surroundings=nobody)

    assert session.dropped == "no token and less than 100 Wh"
    assert session.holds == frozenset()


def test_energy_without_a_token_is_held() -> None:
    session = folded([start(1000, token=None), stop(1100, at(9))], surroundings=around(token_status=None))

    assert (session.dropped, session.holds) == (None, {"token_unknown"})


def test_a_message_that_could_not_be_read_is_never_dropped() -> None:
    session = folded([start(1000, token=None, malformed=True), stop(1000, at(9))])

    assert (session.dropped, session.holds) == (None, {"malformed"})


# --- stops -----------------------------------------------------------------------------------------------------------


def test_of_two_different_stops_the_first_received_counts_and_the_session_is_held() -> None:
    first = stop(3000, at(30), received=at(31))
    second = stop(9000, at(20), received=at(40))
    session = folded([start(), second, first])

    assert (session.ended_at, session.energy_wh) == (at(30), 2000)
    assert session.holds == {"stop_conflict"}


def test_a_stop_that_differs_only_in_words_is_flagged() -> None:
    other = stop(3000, at(30), received=at(40), stopped_reason="Local")
    session = folded([start(), stop(3000, at(30)), other])

    assert (session.holds, session.flags) == (frozenset(), {"stop_conflict"})


def test_a_following_transaction_ends_a_session_at_its_last_reading() -> None:
    after = around(following=neighbour(started_at=at(90)))
    session = folded([start()], [reading(at(20), register(4000)), reading(at(95), register(9000))], after)

    assert (session.ended_at, session.end_source, session.energy_wh) == (at(20), EndSource.FOLLOWING, 3000)
    assert session.holds == {"no_stop"}
    assert session.complete_at == at(96)


def test_a_stop_that_comes_after_all_replaces_the_end_that_was_assumed() -> None:
    after = around(following=neighbour(started_at=at(90)))
    session = folded([start(), stop(6000, at(60), received=at(120))], [reading(at(20), register(4000))], after)

    assert (session.ended_at, session.end_source, session.energy_wh) == (at(60), EndSource.STOP, 5000)
    assert session.holds == frozenset()


def test_a_charge_point_that_knows_no_such_transaction_ends_it() -> None:
    session = folded([started()], [reading(at(5), register(0), by="updated")], around(still_ongoing=False))

    assert (session.end_source, session.ended_at) == (EndSource.NOT_ONGOING, at(5))
    assert "no_stop" in session.holds


@pytest.mark.parametrize(
    ("online", "now", "closed"),
    [
        pytest.param([(-60, None)], 31, True, id="ten minutes online"),
        pytest.param([(-60, None)], 29, False, id="nine minutes online"),
        pytest.param([(-60, 25)], 90, False, id="offline before ten minutes were over"),
        pytest.param([(-60, 25), (40, None)], 51, True, id="ten minutes after it came back"),
        pytest.param([(-60, 25), (40, None)], 49, False, id="nine minutes after it came back"),
    ],
)
def test_available_for_ten_minutes_while_online_ends_a_session(
    online: list[tuple[int, int | None]], now: int, closed: bool
) -> None:
    spans = tuple(OnlineSpan(since=at(a), until=None if b is None else at(b)) for a, b in online)
    surroundings = around(online=spans, statuses=(status("Charging", at(1)), status("Available", at(20))))
    session = folded([start()], [reading(at(10), register(2000))], surroundings, now=at(now))

    assert session.closed is closed
    assert ("no_stop" in session.holds) is closed


def test_available_before_the_start_says_nothing_about_the_end() -> None:
    session = folded([start()], surroundings=around(statuses=(status("Available", at(-1)),)), now=at(60))

    assert not session.closed


def test_clock_aligned_values_of_a_free_evse_neither_delay_nor_move_a_lost_end() -> None:
    loose = [reading(at(minute), register(2000), transaction=None) for minute in range(0, 90, 5)]
    late = reading(at(15), register(2000), transaction=None, received=at(60))
    surroundings = around(statuses=(status("Charging", at(1)), status("Available", at(20))))
    session = folded([start()], [*loose, late], surroundings, now=at(71))

    assert (session.end_source, session.ended_at) == (EndSource.AVAILABLE, at(20))
    assert "no_stop" in session.holds


def test_clock_aligned_values_count_again_once_the_evse_is_occupied_or_the_stop_is_here() -> None:
    loose = [reading(at(30), register(4000), transaction=None)]
    left = (status("Available", at(20)),)

    assert folded([start()], loose, around(statuses=left), now=at(31)).energy_wh == 0
    assert folded([start()], loose, around(statuses=(*left, status("Charging", at(29)))), now=at(31)).energy_wh == 3000
    whole = folded([start(), stop(5000, at(40))], loose, around(statuses=left))
    assert (whole.energy_wh, len(whole.points)) == (4000, 3)


# --- completeness ----------------------------------------------------------------------------------------------------


def test_a_stop_of_16_is_complete_after_the_settle_delay() -> None:
    session = folded([start(), stop(2000, at(30), received=at(33))])

    assert (session.complete_at, session.completeness) == (at(34), Completeness.STOPPED)


def test_numbers_that_go_on_per_evse_are_complete_when_the_last_missing_event_is_here() -> None:
    events = [started(417), updated(418, at(5), received=at(50)), updated(419, at(9)), ended(420, at(30))]
    session = folded(events)

    assert (session.complete_at, session.completeness) == (at(50), Completeness.SEQUENCE)
    assert not session.awaiting_events


@pytest.mark.parametrize("numbers", [pytest.param((0, 0, 0), id="constant"), pytest.param((5, 0, 1), id="restarted")])
def test_useless_numbers_are_a_quirk_and_the_settle_delay_decides(numbers: tuple[int, int, int]) -> None:
    first, second, last = numbers
    session = folded([started(first), updated(second, at(5)), ended(last, at(30))])

    assert (session.complete_at, session.completeness) == (at(31), Completeness.SETTLED)
    assert "sequence_unusable" in session.flags


def test_an_empty_queue_makes_gaps_final_without_a_hold() -> None:
    session = folded([started(0), ended(9, at(30))], [], around(queue_empty=True))

    assert (session.complete_at, session.completeness) == (at(30), Completeness.QUEUE_EMPTY)
    assert "sequence_gap" not in session.flags


@pytest.mark.parametrize(
    ("online", "complete"),
    [
        pytest.param([(-60, None)], at(90), id="an hour online"),
        pytest.param([], at(30) + timedelta(hours=72), id="never online again"),
        pytest.param([(-60, 50), (1000, None)], at(1040), id="an hour online in parts"),
        pytest.param([(-60, 10)], at(30) + timedelta(hours=72), id="only online before"),
    ],
)
def test_a_gap_that_never_closes_waits_for_its_time_out(online: list[tuple[int, int | None]], complete: object) -> None:
    spans = tuple(OnlineSpan(since=at(a), until=None if b is None else at(b)) for a, b in online)
    session = folded([started(0), ended(2, at(30))], [], around(online=spans))

    assert (session.complete_at, session.completeness) == (complete, Completeness.TIMEOUT)
    assert session.awaiting_events
    assert "sequence_gap" in session.flags


def test_an_end_without_its_start_is_held() -> None:
    session = folded([updated(1, at(5)), ended(2, at(30))])

    assert "no_start" in session.holds


# --- the newest fact -------------------------------------------------------------------------------------------------


def test_without_a_socket_an_interim_reaches_only_to_the_newest_fact() -> None:
    offline = around(online=(OnlineSpan(since=at(-60), until=at(21)),))
    session = folded([start()], [reading(at(20), register(2000))], offline, now=at(45))

    assert as_of(session, offline, now=at(45)) == at(20)


def test_what_came_from_a_queue_does_not_tell_that_the_session_still_runs() -> None:
    queued = folded([start(received=at(200))], [reading(at(20), register(2000), received=at(200))], now=at(201))
    live_again = folded(
        [start(received=at(200))],
        [reading(at(20), register(2000), received=at(200)), reading(at(200), register(9000))],
        now=at(201),
    )

    assert as_of(queued, around(), now=at(201)) == at(20)
    assert as_of(live_again, around(), now=at(201)) == at(201)


@pytest.mark.parametrize("minutes", [-90, 90])
def test_a_wrong_clock_is_no_queue(minutes: int) -> None:
    off = around(clock_offset_s=Decimal(minutes * 60))
    session = folded([start(when=at(minutes), received=at(0))], surroundings=off, now=at(5))

    assert session.is_live
    assert as_of(session, off, now=at(5 + minutes)) == at(5 + minutes)


def _hashes(*sessions: Session) -> set[bytes]:
    return {session.inputs_hash for session in sessions}


def test_the_inputs_hash_knows_neither_the_time_nor_repeats_but_every_fact() -> None:
    events, readings = [start(), stop(3000, at(30))], [reading(at(9), register(1500))]
    again = [*events, replace(events[1], received_at=at(99))]

    assert len(_hashes(folded(events, readings), folded(again, readings * 2, now=at(999)))) == 1
    assert len(_hashes(folded(events, readings), folded(events))) == 2


def test_a_blocked_token_holds_a_running_session_at_once_and_an_ended_one_if_energy_flowed() -> None:
    blocked = around(token_status=TokenStatus.BLOCKED)

    assert folded([start()], surroundings=blocked).holds == {"token_unknown"}
    assert folded([start(), stop(1000, at(5))], surroundings=blocked).holds == frozenset()
    assert folded([start(), stop(1200, at(5))], surroundings=blocked).holds == {"token_unknown"}


def test_a_session_that_began_earlier_ends_nothing() -> None:
    earlier = around(following=neighbour(started_at=at(-30)))

    assert not folded([start()], surroundings=earlier).closed
    assert folded([start(), stop(2000, at(30))], surroundings=earlier).holds == frozenset()


def test_the_state_of_the_vehicle_before_says_nothing_about_this_one() -> None:
    left = (status("SuspendedEV", at(-30)), status("Available", at(-20)))
    finishing = (status("Finishing", at(-1)),)
    waiting = (status("SuspendedEV", at(-30)), status("Preparing", at(-1)))

    assert folded([start()], surroundings=around(statuses=left)).states == ()
    assert folded([start()], surroundings=around(statuses=finishing)).states == ()
    assert [each.activity for each in folded([start()], surroundings=around(statuses=waiting)).states] == [
        Activity.CONNECTED
    ]


# --- starts that say the same ----------------------------------------------------------------------------------------


def _twin(**more: object) -> Neighbour:
    return neighbour(**({"token": "DEMO-1", "started_at": NOON, "register_begin_wh": Decimal(1000)} | more))


def test_a_start_that_came_twice_is_dropped_unless_it_goes_on_itself() -> None:
    assert folded([start()], surroundings=around(previous=_twin())).dropped == "duplicate_start"
    assert folded([start()], surroundings=around(following=_twin(has_facts=True))).dropped == "duplicate_start"
    assert folded([start()], surroundings=around(following=_twin())).dropped is None


def test_of_two_equal_starts_that_both_go_on_the_younger_is_held() -> None:
    events = [start(), stop(2000, at(30))]

    assert folded(events, surroundings=around(previous=_twin(has_facts=True))).holds == {"start_ambiguous"}
    assert folded(events, surroundings=around(following=_twin(has_facts=True))).holds == frozenset()
    assert folded(events, surroundings=around(previous=_twin())).holds == frozenset()


def test_an_equal_start_ends_nothing() -> None:
    session = folded([start()], [reading(at(5), register(1500))], around(following=_twin()))

    assert not session.closed


@pytest.mark.parametrize(
    "other", [{"token": "DEMO-2"}, {"started_at": at(-1)}, {"register_begin_wh": Decimal(1001)}], ids=str
)
def test_starts_that_differ_are_two(other: dict[str, object]) -> None:
    assert folded([start()], surroundings=around(previous=_twin(**other))).dropped is None
