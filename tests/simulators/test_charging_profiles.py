"""What the profiles of a simulated charge point add up to, against counting every second; and the battery that obeys."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal

from hypothesis import given
from hypothesis import strategies as st

from simulators.charge_point.battery import Battery
from simulators.charge_point.profiles import DEFAULT, EXTERNAL, MAX, TX, Profile, ProfileStore, Step, composite

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
LENGTH_S = 120
LIMITS = st.integers(0, 400).map(lambda tenths: Decimal(tenths) / 10)
NEAR = st.integers(-90, 150).map(lambda seconds: NOW + timedelta(seconds=seconds))


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    purpose = draw(st.sampled_from([MAX, DEFAULT, TX, EXTERNAL]))
    starts = [0, *sorted(draw(st.sets(st.integers(1, 150), max_size=3)))]
    unit = draw(st.sampled_from(["A", "W"]))
    factor = 1 if unit == "A" else 690
    steps = [Step(start_s=start, limit=draw(LIMITS) * factor, phases=draw(st.sampled_from([1, 3]))) for start in starts]
    repeats = draw(st.sampled_from([None, DAY, timedelta(seconds=70)]))
    start = draw(NEAR) - (DAY * 3 if repeats == DAY else timedelta()) if repeats else draw(st.none() | NEAR)
    evse = {MAX: 0, TX: 1}.get(purpose, draw(st.sampled_from([0, 1])))
    return Profile(
        id=draw(st.integers(1, 50)),
        evse=evse,
        purpose=purpose,
        stack_level=draw(st.integers(0, 3)),
        unit=unit,
        steps=tuple(steps),
        start=start,
        repeats=repeats,
        duration_s=draw(st.none() | st.integers(1, 200)),
        valid_from=draw(st.none() | NEAR),
        valid_to=draw(st.none() | NEAR),
        transaction="7" if purpose == TX else None,
    )


def naive_at(held: list[Profile], at: datetime, since: datetime) -> tuple[Decimal, int]:
    """What may be drawn in this very second: watts and phases, told the long way round."""
    said: dict[str, list[tuple[int, int, Decimal, int]]] = {MAX: [], DEFAULT: [], TX: [], EXTERNAL: []}
    for profile in held:
        if profile.valid_from and at < profile.valid_from:
            continue
        if profile.valid_to and not at < profile.valid_to:
            continue
        clock = profile.start or since
        if clock > at:
            continue
        while profile.repeats and clock + profile.repeats <= at:
            clock += profile.repeats
        second = (at - clock).total_seconds()
        if profile.duration_s is not None and second >= profile.duration_s:
            continue
        step = next(step for step in reversed(profile.steps) if step.start_s <= second)
        watts = step.limit if profile.unit == "W" else step.limit * 230 * step.phases
        said[profile.purpose].append((1 if profile.evse else 0, profile.stack_level, watts, step.phases))
    caps = [(Decimal(32 * 230 * 3), 3)]
    caps += [max(said[MAX])[2:]] if said[MAX] else []
    caps += [max(said[TX])[2:]] if said[TX] else [max(said[DEFAULT])[2:]] if said[DEFAULT] else []
    for place in (0, 1):
        others = [each for each in said[EXTERNAL] if each[0] == place]
        caps += [max(others)[2:]] if others else []
    return min(caps)


@given(st.lists(profiles(), max_size=6), NEAR, st.sampled_from(["A", "W"]))
def test_the_composite_is_what_counting_every_second_gives(drawn: list[Profile], since: datetime, unit: str) -> None:
    store = ProfileStore()
    for profile in drawn:
        store.put(profile)
    held = store.of(1, "7")
    steps = composite(held, at=NOW, duration_s=LENGTH_S, unit=unit, charging_since=since)

    assert steps[0].start_s == 0
    for second in range(LENGTH_S):
        holds = next(step for step in reversed(steps) if step.start_s <= second)
        watts, phases = naive_at(held, NOW + second * SECOND, since)
        wanted = watts if unit == "W" else watts / (230 * phases)
        assert (holds.limit, holds.phases) == (wanted.quantize(Decimal("0.1"), ROUND_DOWN), phases), second
    assert all(step.start_s < LENGTH_S for step in steps)
    assert all((a.limit, a.phases) != (b.limit, b.phases) for a, b in itertools.pairwise(steps))


@given(st.lists(profiles(), max_size=8))
def test_a_store_keeps_one_profile_of_an_id_and_one_of_a_purpose_and_level(drawn: list[Profile]) -> None:
    store = ProfileStore()
    for profile in drawn:
        store.put(profile)

    ids = [each.id for each in store.held]
    ranks = [(each.purpose, each.stack_level, each.evse, each.transaction, each.source) for each in store.held]
    assert len(set(ids)) == len(ids)
    assert len(set(ranks)) == len(ranks)
    assert not drawn or store.held[-1] == drawn[-1]


def test_what_others_impose_is_not_ours_to_clear() -> None:
    step = (Step(start_s=0, limit=Decimal(6)),)
    theirs = Profile(id=1, evse=0, purpose=EXTERNAL, stack_level=0, unit="A", steps=step, source="EMS")
    ours = Profile(id=2, evse=0, purpose=MAX, stack_level=0, unit="A", steps=step)
    store = ProfileStore([theirs, ours])

    assert store.clear()
    assert store.held == [theirs]
    assert not store.clear()
    store.lift("EMS", 0)
    assert store.held == []


def test_a_battery_takes_no_more_than_it_is_offered() -> None:
    free, held = Battery(), Battery(limit_w=Decimal(4140))

    assert (free.power_w, held.power_w) == (Decimal(11_000), Decimal(4140))
    assert held.take(Decimal(3600)) == Decimal(4140)
    held.limit_w = Decimal(0)
    assert held.take(Decimal(3600)) == Decimal(0)
