"""Every rule of the gate at its limit."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from session_story import (
    NOON,
    around,
    at,
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

from csms.protocol.vocabulary import TokenStatus
from csms.sessions.policy import PolicyInvalid, ReviewPolicy
from csms.sessions.review import FLAGS, HOLDS, Release, still_held
from csms.sessions.session import Session


def _evidence(session: Session, rule: str) -> str:
    return next(each.evidence for each in session.findings if each.rule == rule)


def test_an_ordinary_session_is_neither_held_nor_flagged() -> None:
    session = folded([start(1000), stop(11_000, at(60))])

    assert session.findings == ()


def test_the_bill_of_a_22_kw_post_that_gave_25_6_kwh_in_54_minutes_is_held() -> None:
    session = folded([start(1000), stop(26_600, at(54))])

    assert session.holds == {"energy_over_power"}
    assert _evidence(session, "energy_over_power") == "25600.000 Wh in 3240 s; 22 kW x 1.1 allow 21786.722 Wh"


@pytest.mark.parametrize(("wh", "holds"), [(24_206, set()), (24_208, {"energy_over_power"})])
def test_the_power_limit_is_11_percent_above_and_a_second_wide(wh: int, holds: set[str]) -> None:
    assert folded([start(0), stop(wh, at(60))]).holds == holds


@pytest.mark.parametrize(
    ("current", "wh", "holds", "flags"),
    [
        ("AC", 20_000, set(), set()),
        ("AC", 120_000, set(), {"power_unknown"}),
        ("AC", 450_000, {"energy_over_power"}, {"power_unknown"}),
        ("DC", 120_000, set(), set()),
        ("DC", 450_000, {"energy_over_power"}, set()),
    ],
)
def test_where_nobody_told_the_power(current: str, wh: int, holds: set[str], flags: set[str]) -> None:
    session = folded([start(5), stop(5 + wh, at(60))], [], around(max_power_w=None, current=current))

    assert (session.holds, session.flags) == (holds, flags)


@pytest.mark.parametrize(("kwh", "held"), [(500, False), (501, True)])
def test_more_than_500_kwh_is_never_believed(kwh: int, held: bool) -> None:
    session = folded([start(5), stop(5 + kwh * 1000, at(120))], [], around(max_power_w=Decimal(400_000)))

    assert ("energy_over_limit" in session.holds) is held


@pytest.mark.parametrize(
    ("current", "hours", "held"), [("AC", 24, False), ("AC", 25, True), ("DC", 4, False), ("DC", 5, True)]
)
def test_a_session_that_takes_too_long_is_held_while_it_runs_and_after(current: str, hours: int, held: bool) -> None:
    end, surroundings = NOON + timedelta(hours=hours), around(current=current)

    assert ("too_long" in folded([start(0), stop(5000, end)], [], surroundings).holds) is held
    assert ("too_long" in folded([start(0)], [], surroundings, now=end).holds) is held


@pytest.mark.parametrize(
    ("days", "holds", "flags"), [(7, set(), set()), (8, set(), {"late"}), (90, set(), {"late"}), (91, {"late"}, set())]
)
def test_facts_that_arrive_late(days: int, holds: set[str], flags: set[str]) -> None:
    session = folded([start(0), stop(5000, at(60), received=at(60) + timedelta(days=days))])

    assert (session.holds, session.flags) == (holds, flags)


@pytest.mark.parametrize(
    ("first", "last"),
    [
        pytest.param(datetime(1970, 1, 1, tzinfo=UTC), at(60), id="a clock that was never set"),
        pytest.param(at(0), at(-60), id="an end before its start"),
        pytest.param(NOON + timedelta(days=3653), NOON + timedelta(days=3654), id="ten years ahead"),
        pytest.param(at(0), datetime(9999, 12, 31, 23, 59, tzinfo=UTC), id="the end of time"),
    ],
)
def test_times_that_cannot_be_true_are_held(first: datetime, last: datetime) -> None:
    session = folded([start(0, first, received=at(0)), stop(10, last, received=at(60))])

    assert "time_invalid" in session.holds
    assert "time_invalid" in folded([start(0, first, received=at(0))], now=at(1)).holds or first == at(0)


def test_a_clock_a_minute_ahead_of_its_arrival_is_fine() -> None:
    assert folded([start(0, at(1), received=at(0))], now=at(2)).holds == frozenset()


def test_the_older_of_two_sessions_at_once_is_held() -> None:
    session = folded([start(0), stop(5000, at(60))], [], around(following=neighbour(started_at=at(59))))

    assert session.holds == {"overlap"}


@pytest.mark.parametrize(
    ("status", "held"), [("Accepted", False), ("Blocked", True), ("Expired", True), ("Invalid", True)]
)
def test_a_token_that_was_not_good_at_the_start_is_held_if_energy_flowed(status: str, held: bool) -> None:
    session = folded([start(0), stop(5000, at(60))], [], around(token_status=TokenStatus(status)))

    assert (session.holds == {"token_unknown"}) is held


def test_a_token_that_nobody_looked_up_counts_as_unknown() -> None:
    assert folded([start(0), stop(5000, at(60))], [], around(token_status=None)).holds == {"token_unknown"}


@pytest.mark.parametrize(("wh", "flags"), [(99, {"zero_energy"}), (100, set())])
def test_less_than_a_tenth_of_a_kwh_is_waived(wh: int, flags: set[str]) -> None:
    session = folded([start(0), stop(wh, at(60))])

    assert (session.holds, session.flags) == (frozenset(), flags)


@pytest.mark.parametrize(("begin", "flags"), [(5100, set()), (5101, {"register_gap"}), (4899, {"register_gap"})])
def test_a_start_register_off_the_previous_stop_is_flagged(begin: int, flags: set[str]) -> None:
    before = neighbour(register_begin_wh=Decimal(1), register_end_wh=Decimal(5000))

    assert folded([start(begin)], [], around(previous=before), now=at(1)).flags == flags


def test_what_was_seen_at_arrival_holds_or_flags_and_an_unknown_name_holds() -> None:
    seen = frozenset({"start_ambiguous", "transaction_id_reused", "something_new"})
    session = folded([start(0)], [], around(held_by_ingest=seen), now=at(1))

    assert session.holds == {"start_ambiguous", "something_new"}
    assert session.flags == {"transaction_id_reused"}


def test_two_starts_with_other_registers_are_held() -> None:
    session = folded([start(0), start(500, received=at(1)), stop(3000, at(30))])

    assert (session.energy_wh, session.holds, session.flags) == (3000, {"reading_conflict"}, {"start_conflict"})


def test_two_events_of_one_number_conflict_only_where_they_read_differently() -> None:
    both = [started(0), updated(1, at(5), trigger="Trigger"), updated(1, at(5), trigger="MeterValuePeriodic")]
    same = [reading(at(5), register(500), by="updated"), reading(at(5), register(500), power(6000), by="updated")]
    other = [same[0], reading(at(5), register(900), by="updated")]

    assert "reading_conflict" not in folded(both, same, now=at(6)).holds
    assert "reading_conflict" in folded(both, other, now=at(6)).holds


# --- policy as data --------------------------------------------------------------------------------------------------


def test_a_policy_survives_json() -> None:
    policy = ReviewPolicy(version=3, power_factor=Decimal("1.25"), late_days_hold=30)

    assert ReviewPolicy.from_dict(json.loads(json.dumps(policy.to_dict()))) == policy


def test_a_policy_that_names_only_what_differs_keeps_the_defaults() -> None:
    assert ReviewPolicy.from_dict({"version": 2, "price_max": "200"}) == ReviewPolicy(version=2, price_max=Decimal(200))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"power_facter": "1.1"}, "no limit is called 'power_facter'"),
        ({"power_factor": "much"}, "power_factor must be a number"),
        ({"power_factor": "NaN"}, "power_factor must be zero or more"),
        ({"power_factor": "-1"}, "power_factor must be zero or more"),
        ({"power_factor": 1.1}, "written as text"),
        ({"late_days_flag": "7.5"}, "zero or more and whole"),
    ],
)
def test_a_wrong_policy_is_refused_by_name(body: dict[str, object], message: str) -> None:
    with pytest.raises(PolicyInvalid, match=message):
        ReviewPolicy.from_dict(body)


def test_a_policy_changes_what_is_held() -> None:
    strict = ReviewPolicy(version=2, energy_wh_max=Decimal(1000))

    assert folded([start(0), stop(5000, at(60))], policy=strict).holds == {"energy_over_limit"}


def test_every_hold_and_flag_says_what_it_means() -> None:
    assert all(text.endswith(".") for text in [*HOLDS.values(), *FLAGS.values()])
    assert HOLDS.keys() & FLAGS.keys() == {"late", "stop_conflict"}


# --- releases --------------------------------------------------------------------------------------------------------

JUMP = [reading(at(5), register(2000)), reading(at(6), register(42_000)), reading(at(10), register(43_000))]


def _released(session: Session, *names: str) -> Release:
    """What a person lets pass who looks at the session now."""
    evidence = frozenset((each.rule, each.evidence) for each in session.findings)
    return Release(holds=frozenset(names), evidence=evidence, was_closed=session.closed)


def test_a_release_covers_what_was_seen_while_the_session_goes_on() -> None:
    seen = folded([start()], JUMP[:2], now=at(20))
    later = folded([start()], [*JUMP, reading(at(19), register(44_000))], now=at(20))
    released = [_released(seen, "register_jump")]

    assert still_held(seen, []) == {"register_jump"}
    assert still_held(seen, released) == still_held(later, released) == frozenset()


def test_a_release_of_a_running_session_does_not_cover_its_next_jump() -> None:
    released = [_released(folded([start()], JUMP, now=at(20)), "register_jump")]
    again = folded([start()], [*JUMP, reading(at(11), register(143_000))], now=at(20))

    assert still_held(again, released) == {"register_jump"}
    assert still_held(again, [*released, _released(again, "register_jump")]) == frozenset()


def test_a_release_covers_only_the_names_that_it_names() -> None:
    session = folded([start(1000), stop(600_000, at(30))])

    assert still_held(session, [_released(session, "energy_over_limit")]) == {"energy_over_power"}


def test_a_release_of_an_ended_session_stands_whatever_the_evidence_says_later() -> None:
    release = Release(holds=frozenset({"energy_over_power"}), evidence=frozenset(), was_closed=True)

    assert still_held(folded([start(1000), stop(101_000, at(30))]), [release]) == frozenset()


def test_what_holds_a_running_session_says_the_same_until_something_happens() -> None:
    unknown = around(token_status=TokenStatus.INVALID)
    first = folded([start()], [reading(at(5), register(2000))], unknown, now=at(25 * 60))
    later = folded([start()], [*JUMP[:1], reading(at(9), register(2500))], unknown, now=at(26 * 60))

    assert still_held(later, [_released(first, "token_unknown", "too_long")]) == frozenset()
