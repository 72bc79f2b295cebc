"""Folds that are not made again (csms/sessions/folds.py): what is kept is as good as what is folded anew."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_story import NOON, POLICY, at, neighbour, power, reading, register, start, status, stop

from csms.protocol.vocabulary import TokenStatus
from csms.sessions.clock import Stamp
from csms.sessions.facts import OnlineSpan, StoredEvent, StoredReading
from csms.sessions.folds import Folds
from csms.sessions.projection import folded_from
from csms.sessions.review import Release
from csms.sessions.store import SessionFacts
from tests.examples import tried

NOW = NOON + timedelta(hours=3)


def told(*events: StoredEvent, readings: list[StoredReading] | None = None, **more: Any) -> SessionFacts:
    given: dict[str, Any] = {
        "id": 7, "charge_point": "CP-1", "transaction": "7", "generation": 0, "site": "s", "country": "DE",
        "currency": "EUR", "time_zone": "Europe/Berlin", "current": "AC", "product": "AC",
        "max_power_w": Decimal(22_000), "idle_after_stop": False, "idle_cap": None, "dropped_by_review": None,
        "token_status": TokenStatus.ACCEPTED, "online": [OnlineSpan(since=at(-900), until=None)],
    }  # fmt: skip
    return SessionFacts(**(given | more), events=list(events), readings=list(readings or []))


def ended_one(*, readings: int = 3, number: int = 7) -> SessionFacts:
    taken = [reading(at(10 * n), register(1000 + 1000 * n), power(9000)) for n in range(1, readings + 1)]
    return told(start(1000), stop(11_000, at(60)), readings=taken, id=number)


def test_what_was_folded_is_not_folded_again_while_its_facts_are_the_same() -> None:
    folds = Folds()
    made = folds.make(ended_one(), POLICY, now=NOW)

    assert folds.take(ended_one(), POLICY, now=NOW + timedelta(hours=1))[1] is made


def test_it_is_taken_once() -> None:
    folds = Folds()
    made = folds.make(ended_one(), POLICY, now=NOW)
    folds.take(ended_one(), POLICY, now=NOW)
    again = folds.take(ended_one(), POLICY, now=NOW)[1]

    assert again is not made
    assert again == made


def test_it_is_kept_for_billing_to_come_back_when_its_facts_count_as_complete() -> None:
    folds = Folds()
    made = folds.make(ended_one(), POLICY, now=at(60))
    taken = [folds.take(ended_one(), POLICY, now=when)[1] for when in (at(60), at(60.5), NOW, NOW)]

    assert made.complete_at == at(61)
    assert [each is made for each in taken] == [True, True, True, False]


OTHERWISE = {
    "readings": [reading(at(10), register(2000), power(9000))],
    "events": [start(1000), stop(10_000, at(60))],
    "statuses": [status("Finishing", at(61))],
    "stamps": [Stamp(at=at(0), received_at=at(120), socket=None)],
    "online": [],
    "previous": neighbour(register_end_wh=Decimal(900)),
    "following": neighbour(started_at=at(59)),
    "token_status": TokenStatus.BLOCKED,
    "queue_empty": True,
    "occurrence": 1,
    "max_power_w": Decimal(100),
    "time_zone": "Europe/London",
    "releases": [Release(holds=frozenset({"late"}), evidence=frozenset(), was_closed=True)],
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_whatever_is_known_otherwise_by_now_is_folded_anew(name: str) -> None:
    folds, now_known = Folds(), replace(ended_one(), **{name: OTHERWISE[name]})
    made = folds.make(ended_one(), POLICY, now=NOW)
    taken = folds.take(now_known, POLICY, now=NOW)[1]

    assert taken is not made
    assert taken == folded_from(now_known, POLICY, now=NOW)


def test_another_policy_folds_anew() -> None:
    folds, strict = Folds(), replace(POLICY, energy_wh_max=Decimal(5000))
    folds.make(ended_one(), POLICY, now=NOW)

    assert "energy_over_limit" in folds.take(ended_one(), strict, now=NOW)[1].holds


def test_facts_that_change_in_the_hands_of_their_holder_are_seen() -> None:
    folds, facts = Folds(), ended_one()
    folds.make(deepcopy(facts), POLICY, now=NOW)
    facts.readings.append(reading(at(55), register(9000)))

    assert folds.take(facts, POLICY, now=NOW)[1] == folded_from(facts, POLICY, now=NOW)


def test_a_session_that_time_alone_may_end_is_folded_each_time() -> None:
    folds = Folds()
    left = told(start(1000), statuses=[status("Charging", at(1)), status("Available", at(30))])
    made = folds.make(left, POLICY, now=at(31))
    later = folds.take(left, POLICY, now=at(90))[1]

    assert (made.ended_at, "no_stop" in later.holds) == (None, True)


def test_a_running_session_is_not_folded_again_before_it_has_taken_too_long() -> None:
    folds, running = Folds(), told(start(1000), readings=[reading(at(10), register(2000))])
    made = folds.make(running, POLICY, now=at(20))

    assert folds.take(running, POLICY, now=at(21))[1] is made

    folds.make(running, POLICY, now=at(20))

    assert "too_long" in folds.take(running, POLICY, now=at(60 * 24 * 30))[1].holds


WORDS = ("Charging", "SuspendedEV", "Finishing", "Available", "Preparing")


@tried(100)
@given(
    has_stop=st.booleans(),
    words=st.lists(st.tuples(st.sampled_from(WORDS), st.integers(min_value=0, max_value=300)), max_size=4),
    is_ongoing=st.sampled_from([None, True, False]),
    follower=st.one_of(st.none(), st.integers(min_value=1, max_value=500)),
    current=st.sampled_from(["AC", "DC"]),
    first=st.integers(min_value=61, max_value=10_000),
    second=st.integers(min_value=0, max_value=10_000),
)
def test_what_is_taken_at_any_time_is_what_would_be_folded_then(
    has_stop: bool,
    words: list[tuple[str, int]],
    is_ongoing: bool | None,
    follower: int | None,
    current: str,
    first: int,
    second: int,
) -> None:
    events = [start(1000), stop(11_000, at(60))] if has_stop else [start(1000)]
    facts = told(
        *events,
        readings=[reading(at(10), register(2000))],
        statuses=[status(word, at(minute)) for word, minute in words],
        still_ongoing=is_ongoing,
        following=None if follower is None else neighbour(started_at=at(follower)),
        current=current,
    )
    folds = Folds()
    folds.make(facts, POLICY, now=at(first))

    assert folds.take(facts, POLICY, now=at(second))[1] == folded_from(facts, POLICY, now=at(second))


def test_no_more_is_kept_than_there_is_room_for() -> None:
    folds = Folds(readings_max=30)
    made = [folds.make(ended_one(readings=5, number=n), POLICY, now=NOW) for n in range(10)]
    kept = [folds.take(ended_one(readings=5, number=n), POLICY, now=NOW)[1] is made[n] for n in range(10)]

    assert kept == [False] * 7 + [True] * 3
