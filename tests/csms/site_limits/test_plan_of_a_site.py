"""A site's limit as a whole: never more than the limit, whatever becomes of messages; nobody starves; nothing moves needlessly."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from site_story import ALL, PACE, Answer, Site, Station, controlled

from csms.site_limits.exposure import Slot
from csms.site_limits.grid import SiteLimit

HUNDRED = SiteLimit(amps=100)
COUNT = 6
TURN = timedelta(minutes=15)
ACTS = st.sampled_from(["plug", "plug", "unplug", "offline", "online"])
EVENTS = st.lists(
    st.tuples(ACTS, st.integers(0, COUNT - 1), st.sampled_from(list(Answer)), st.integers(0, 1200)),
    min_size=10,
    max_size=50,
)
"""Something happens at an EVSE, limits are told and this becomes of them, and so many seconds pass."""
LINES = st.sampled_from([ALL, frozenset({1}), frozenset({2}), frozenset({3})])


def shares(site: Site) -> list[int]:
    return [station.flows_a for station in site.stations]


def happen(site: Site, events: list[tuple[str, int, Answer, int]]) -> None:
    for act, n, answer, seconds in events:
        getattr(site, act)(n)
        site.look()
        for order in site.plan().orders:
            site.carry_out(order, answer)
        site.now += timedelta(seconds=seconds)


@settings(deadline=None, max_examples=150)
@given(EVENTS, st.lists(LINES, min_size=COUNT, max_size=COUNT), st.integers(8, 70), st.sampled_from([0, 6]))
def test_what_may_flow_never_passes_the_limit_whatever_becomes_of_messages(
    events: list[tuple[str, int, Answer, int]], lines: list[frozenset[int]], amps: int, offline_a: int
) -> None:
    limit = SiteLimit(amps=amps, offline_a=offline_a)
    site = Site(limit, [Station(f"CP-{n}", lines=each) for n, each in enumerate(lines)])
    site.settle()
    site.peak_a.clear()

    happen(site, events)

    assert all(peak <= amps for peak in site.peak_a.values()), site.peak_a


@settings(deadline=None, max_examples=40)
@given(EVENTS, st.integers(8, 70))
def test_every_vehicle_gets_the_minimum_or_nothing(events: list[tuple[str, int, Answer, int]], amps: int) -> None:
    site = controlled(COUNT, SiteLimit(amps=amps))

    happen(site, events)

    told = [step.amps for station in site.stations for step in station.history if step.slot is Slot.TX]
    assert all(each == 0 or 6 <= each <= 32 for each in told if each is not None)


@settings(deadline=None, max_examples=40)
@given(EVENTS, st.integers(8, 70))
def test_after_trouble_everybody_who_is_connected_charges_again_or_has_a_turn_to_come(
    events: list[tuple[str, int, Answer, int]], amps: int
) -> None:
    site = controlled(COUNT, SiteLimit(amps=amps))
    happen(site, events)
    for n in range(COUNT):
        site.online(n)
        site.plug(n)
    site.now += timedelta(hours=2)  # whatever was tried in vain is tried again

    charged: set[int] = set()
    for _ in range(COUNT * 8):
        site.run(ticks=4)
        charged |= {n for n, amperes in enumerate(shares(site)) if amperes >= 6}

    assert charged == set(range(COUNT))


def test_vehicles_share_alike_and_what_one_leaves_goes_to_the_others() -> None:
    site = controlled(5, HUNDRED)
    for n in range(4):
        site.plug(n)
    site.run(ticks=4)
    among_four = shares(site)
    site.plug(4)
    site.run(ticks=4)
    among_five = shares(site)
    site.unplug(0)
    site.unplug(1)
    site.run(ticks=4)

    assert among_four == [25, 25, 25, 25, 0]
    assert among_five == [20, 20, 20, 20, 20]
    assert shares(site) == [0, 0, 32, 32, 32]


def test_at_most_sixteen_of_twenty_charge_at_once_and_each_has_its_turn_in_time() -> None:
    """floor(100 A / 6 A); four wait, so that nobody waits longer than until the turns of the others are over."""
    site = controlled(20, HUNDRED)
    for n in range(20):
        site.plug(n)
    waited: dict[int, timedelta] = {}
    begun: dict[int, datetime] = {}
    turns: Counter[int] = Counter()
    before = [0] * 20
    for _ in range(5 * 60):
        site.settle()
        now = shares(site)
        assert sum(each >= 6 for each in now) <= 16
        for n, amperes in enumerate(now):
            turns[n] += amperes > 0 and not before[n]
            if amperes:
                begun.pop(n, None)
            else:
                since = begun.setdefault(n, site.now)
                waited[n] = max(waited.get(n, timedelta()), site.now - since)
        before = now
        site.now += timedelta(minutes=1)

    assert all(peak <= 100 for peak in site.peak_a.values())
    assert max(waited.values()) <= TURN + timedelta(minutes=2)
    assert set(turns) == set(range(20))
    assert max(turns.values()) - min(turns.values()) <= 1


@settings(deadline=None, max_examples=25)
@given(st.lists(LINES, min_size=8, max_size=8), st.integers(6, 30))
def test_nobody_who_waits_is_passed_for_ever_on_a_connection_of_mixed_phases(
    lines: list[frozenset[int]], amps: int
) -> None:
    site = Site(SiteLimit(amps=amps), [Station(f"CP-{n}", lines=each) for n, each in enumerate(lines)])
    site.settle()
    for n in range(8):
        site.plug(n)

    waiting_since = dict.fromkeys(range(8), site.now)
    for _ in range(8 * 16):
        site.settle()
        for n, amperes in enumerate(shares(site)):
            if amperes:
                waiting_since[n] = site.now
            assert site.now - waiting_since[n] <= 8 * (TURN + timedelta(minutes=1))
        site.now += timedelta(minutes=1)


@settings(deadline=None, max_examples=30)
@given(EVENTS)
def test_nothing_is_told_while_nothing_changes_and_nobody_waits(events: list[tuple[str, int, Answer, int]]) -> None:
    site = controlled(COUNT, HUNDRED)  # 6 x 6 A fit: nobody has to wait
    happen(site, events)
    site.now += timedelta(hours=2)
    site.run(ticks=10)
    told = sum(len(station.history) for station in site.stations)

    site.run(ticks=200)

    assert sum(len(station.history) for station in site.stations) == told


def test_a_silent_charge_point_counts_with_what_it_accepted_last_and_nobody_gets_its_share() -> None:
    site = controlled(4, HUNDRED)
    for n in range(3):
        site.plug(n)
    site.run(ticks=4)
    site.offline(0)
    site.unplug(0)  # nobody hears of it
    site.plug(3)
    site.run(ticks=20)

    assert (shares(site)[0], sorted(shares(site)[1:])) == (0, [22, 23, 23])  # of 100 A, 32 A may still flow there
    assert site.peak_a[1] <= 100
    site.online(0)
    site.run(ticks=4)
    assert shares(site) == [0, 32, 32, 32]


def test_a_vehicle_that_comes_while_its_charge_point_is_silent_finds_the_offline_share() -> None:
    site = controlled(4, SiteLimit(amps=100, offline_a=6))
    site.offline(0)
    site.plug(0)
    for n in (1, 2, 3):
        site.plug(n)
    site.run(ticks=10)

    assert shares(site) == [6, 32, 31, 31]


def test_an_offline_share_that_does_not_fit_for_all_is_none() -> None:
    site = controlled(20, SiteLimit(amps=100, offline_a=6))

    assert {station.base_a for station in site.stations} == {0}


@pytest.mark.parametrize("answer", [Answer.REFUSED, Answer.OBEYED_UNANSWERED, Answer.LOST])
def test_an_increase_that_is_not_accepted_counts_as_if_it_were(answer: Answer) -> None:
    site = controlled(2, SiteLimit(amps=40))
    site.plug(0)
    [order] = site.plan().orders
    site.carry_out(order, answer)
    site.plug(1)

    assert order.amps == 32
    assert [(each.charge_point, each.amps) for each in site.plan().orders] == [("CP-01", 8)]


def test_a_decrease_that_is_not_accepted_frees_nothing() -> None:
    site = controlled(2, SiteLimit(amps=40))
    site.plug(0)
    site.run(ticks=2)
    site.plug(1)
    first = site.plan().orders
    for order in first:
        site.carry_out(order, Answer.REFUSED if order.charge_point == "CP-00" else Answer.ACCEPTED)
    site.settle()

    assert [(each.charge_point, each.amps) for each in first] == [("CP-00", 20), ("CP-01", 8)]
    assert shares(site) == [32, 8]
    site.run(ticks=20)
    assert shares(site) == [20, 20]


def test_a_limit_that_falls_takes_away_at_once_also_from_those_who_were_told_just_now() -> None:
    site = controlled(4, HUNDRED)
    for n in range(4):
        site.plug(n)
    site.settle()
    site.limit = SiteLimit(amps=50)
    orders = site.plan().orders

    assert [each.amps for each in orders] == [13, 13, 12, 12]


def test_charge_points_that_have_accepted_nothing_yet_count_with_all_that_they_can_draw() -> None:
    site = Site(HUNDRED, [Station(f"CP-{n}") for n in range(4)])
    site.offline(3)
    site.plug(0)
    site.look()
    orders = site.plan().orders
    for order in orders:
        site.carry_out(order)

    assert site.peak_a[1] == 4 * 32
    assert [(each.slot, each.amps) for each in orders] == [(Slot.BASE, 0)] * 3
    site.run(ticks=4)
    assert shares(site)[0] == 32
    assert site.plan().counted[1] == 32 + 32


def test_where_what_does_not_follow_fills_the_connection_nobody_else_charges() -> None:
    site = Site(SiteLimit(amps=40), [Station(f"CP-{n}") for n in range(3)])
    site.offline(0)
    site.offline(1)
    site.plug(2)
    site.run(ticks=4)

    assert shares(site) == [0, 0, 0]
    assert site.plan().over_a == 2 * 32 - 40


def test_a_charge_point_is_not_told_more_often_than_its_flash_bears() -> None:
    site = controlled(3, SiteLimit(amps=60))
    site.plug(0)
    site.settle()
    for _ in range(20):
        site.plug(1)
        site.settle()
        site.unplug(1)
        site.settle()
        site.now += timedelta(seconds=1)

    told = [step for step in site.stations[0].history if step.slot is Slot.TX]
    assert len(told) <= 1 + 20 // PACE.total_seconds() + 1
