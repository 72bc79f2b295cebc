"""Who gets how many amperes at an instant: rests, floors, phases of their own, and what is not worth a message."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from csms.site_limits.allocation import Vehicle, allocate
from csms.site_limits.exposure import Place, Reach, Slot, Step, told
from csms.site_limits.grid import SiteLimit
from csms.site_limits.plan import Stay, make_plan

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TURN = timedelta(minutes=15)
ALL = frozenset({1, 2, 3})


def vehicle(name: str, **given: Any) -> Vehicle:
    """One that waits since an hour and takes all that it can get."""
    values = {"lines": ALL, "want_a": 32, "allowed_a": 0, "since": NOW - timedelta(hours=1), "served": False}
    return Vehicle(key=(name, 1), **{**values, **given})


def served(name: str, allowed_a: int, minutes: int, **given: Any) -> Vehicle:
    return vehicle(name, allowed_a=allowed_a, since=NOW - timedelta(minutes=minutes), served=True, **given)


def shares(*vehicles: Vehicle, room_a: int | dict[int, int] = 20) -> dict[str, int]:
    room = room_a if isinstance(room_a, dict) else dict.fromkeys(ALL, room_a)
    found = allocate(vehicles, room, min_a=6, rotate=TURN, now=NOW)
    return {name: amperes for (name, _), amperes in found.items()}


def test_nobody_gets_less_than_the_minimum_and_the_longest_wait_comes_first() -> None:
    waits = [vehicle(f"CP-{n}", since=NOW - timedelta(minutes=n)) for n in range(5)]

    assert shares(*waits) == {"CP-4": 7, "CP-3": 7, "CP-2": 6, "CP-1": 0, "CP-0": 0}


def test_a_turn_is_not_cut_short_and_the_one_that_has_lasted_longest_ends_first() -> None:
    running = [served("new", 10, 2), served("old", 10, 20)]

    assert shares(*running, vehicle("waits"), room_a=12) == {"new": 6, "waits": 6, "old": 0}
    assert shares(served("new", 6, 2), served("newer", 6, 1), vehicle("waits"), room_a=12) == {
        "newer": 6, "new": 6, "waits": 0,
    }  # fmt: skip


def test_who_takes_nothing_makes_way_sooner_and_keeps_its_place_where_nobody_waits() -> None:
    resting = served("rests", 6, 6, resting=True)

    assert shares(resting, served("runs", 6, 6), vehicle("waits"), room_a=12) == {"runs": 6, "waits": 6, "rests": 0}
    assert shares(resting, served("runs", 6, 6), room_a=12) == {"rests": 6, "runs": 6}


def test_phases_are_filled_each_for_itself() -> None:
    one, two = (vehicle(name, lines=frozenset({line})) for name, line in (("L1", 1), ("L2", 2)))

    assert shares(one, two, vehicle("all"), room_a={1: 20, 2: 30, 3: 40}) == {"L1": 10, "L2": 20, "all": 10}


def test_who_can_never_fit_keeps_nobody_from_charging() -> None:
    blocked = vehicle("all", since=NOW - timedelta(hours=9))

    assert shares(blocked, vehicle("L2", lines=frozenset({2})), room_a={1: 5, 2: 20, 3: 20}) == {"all": 0, "L2": 20}


def test_who_waits_first_for_a_phase_is_not_passed_there_but_elsewhere() -> None:
    """Line 1 is taken for a while: the one that waits for all three gets it as soon as that turn is over."""
    running = served("runs", 6, 5, lines=frozenset({1}), want_a=6)
    first = vehicle("all", since=NOW - timedelta(hours=2))
    second = vehicle("L2", lines=frozenset({2}))

    assert shares(running, first, second, room_a={1: 6, 2: 6, 3: 6}) == {"runs": 6, "all": 0, "L2": 0}


def test_what_would_bring_next_to_nothing_is_not_told() -> None:
    assert shares(served("one", 10, 3), served("two", 9, 5)) == {"one": 10, "two": 9}
    assert shares(served("one", 10, 3), served("two", 7, 5)) == {"one": 10, "two": 10}
    assert shares(served("one", 11, 3), served("two", 9, 5), room_a=19) == {"one": 10, "two": 9}


def test_where_every_evse_has_an_offline_share_nobody_waits() -> None:
    floors = [vehicle(f"CP-{n}", floor_a=6, since=NOW - timedelta(minutes=n)) for n in range(3)]

    assert shares(*floors, room_a=4) == {"CP-2": 8, "CP-1": 7, "CP-0": 7}


def test_a_vehicle_that_rests_keeps_the_minimum_and_wants_as_before_when_it_begins_again() -> None:
    base = told([Step(id=1, slot=Slot.BASE, amps=0, sent_at=NOW, answered_at=NOW, accepted=True)])
    places = [
        Place(charge_point=name, evse=1, lines=ALL, amps_max=32, reach=Reach.LIVE, session=n, base=base)
        for n, name in enumerate(("one", "two"), start=1)
    ]

    def targets(*, resting: bool) -> list[int]:
        stays = {
            place.key: Stay(session=n, served=False, since=NOW, want_a=32, resting=resting and n == 1)
            for n, place in enumerate(places, start=1)
        }
        plan = make_plan(places, stays, SiteLimit(amps=40), budget_a=40, now=NOW, pace=timedelta())
        return [plan.targets[place.key] for place in places]

    assert targets(resting=True) == [6, 32]
    assert targets(resting=False) == [20, 20]
