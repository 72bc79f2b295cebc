"""When billing looks at running sessions (csms/sessions/looks.py)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from csms.sessions.looks import LOOKED_AT_MAX, REST_FACTOR, RESTS_MAX, Looks
from tests.examples import tried

INTERVAL_S = 5.0


def looked_at(looks: Looks, seconds: range, *, sessions: int, cost_s: float) -> list[tuple[float, int]]:
    """Every look, each session having a new reading in each second."""
    found = []
    for second in seconds:
        now = float(second)
        begun = [each for each in range(sessions) if looks.has_turn(each, readings=1, now=now)]
        rest = looks.due(now=now)
        looks.told(rest, now=now)
        for each in [*begun, *rest]:
            found.append((now, each))
            looks.took(cost_s, 1)
    return found


def test_a_session_that_begins_is_looked_at_at_once() -> None:
    assert Looks(INTERVAL_S).has_turn(7, readings=1, now=100.0)


def test_new_readings_wait_for_the_interval_and_are_not_forgotten() -> None:
    looks = Looks(INTERVAL_S)
    looks.has_turn(7, readings=1, now=100.0)
    assert not looks.has_turn(7, readings=2, now=101.0)
    assert looks.all_waiting([6, 7]) == [7]
    assert looks.due(now=104.9) == {}
    assert list(looks.due(now=105.0)) == [7]


def test_a_session_of_many_readings_is_looked_at_as_much_more_seldom() -> None:
    looks = Looks(INTERVAL_S)
    looks.has_turn(7, readings=1, now=0.0)
    assert not looks.has_turn(7, readings=1000, now=30.0)
    assert looks.due(now=49.9) == {}
    assert list(looks.due(now=50.0)) == [7]


def test_what_has_ended_meanwhile_is_not_put_back_by_being_told() -> None:
    looks = Looks(INTERVAL_S)
    looks.has_turn(7, readings=1, now=0.0)
    looks.has_turn(7, readings=2, now=1.0)
    turns = looks.due(now=5.0)
    looks.at_once(7)
    looks.told(turns, now=5.0)
    assert looks.has_turn(7, readings=3, now=5.1)


def test_an_interval_of_zero_looks_at_every_chance_whatever_it_takes() -> None:
    assert len(looked_at(Looks(0), range(20), sessions=3, cost_s=9.0)) == 60


@tried(50)
@given(sessions=st.integers(1, 60), cost_s=st.floats(0.001, 0.5))
def test_looks_take_their_part_of_the_time_and_everybody_has_a_turn(sessions: int, cost_s: float) -> None:
    looks = Looks(INTERVAL_S)
    looked_at(looks, range(100), sessions=sessions, cost_s=cost_s)
    later = looked_at(looks, range(100, 2100), sessions=sessions, cost_s=cost_s)
    spent_s = cost_s * len(later)
    # One more look than fits may be under way in each interval.
    assert spent_s <= 2000 / REST_FACTOR + cost_s * 2000 / INTERVAL_S
    rounds = sessions * max(INTERVAL_S, cost_s * REST_FACTOR)
    if rounds * 4 < 2000:
        assert {session for _, session in later} == set(range(sessions))


@tried(50)
@given(sessions=st.integers(1, 500))
def test_after_a_restart_no_look_rests_longer_than_a_few_intervals(sessions: int) -> None:
    looks = Looks(INTERVAL_S)
    looks.took(100.0, 1)
    for each in range(sessions):
        looks.has_turn(each, readings=1, now=0.0)
        looks.has_turn(each, readings=2, now=0.0)
    assert looks.due(now=RESTS_MAX * INTERVAL_S)


def test_what_is_remembered_of_sessions_that_go_on_elsewhere_is_bounded() -> None:
    looks = Looks(INTERVAL_S)
    for session in range(LOOKED_AT_MAX + 1):
        assert looks.has_turn(session, readings=1, now=0.0)
    assert not looks.has_turn(LOOKED_AT_MAX, readings=2, now=1.0)
    assert looks.has_turn(0, readings=2, now=1.0)  # as a new one: looked at too often rather than never
