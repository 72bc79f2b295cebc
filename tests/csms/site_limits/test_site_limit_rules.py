"""The rules that a site limit is made of: the building's share, how EVSEs are wired, what counts, what a vehicle wants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.protocol.blocks.charging_profile import ProfileKind, Purpose, RateUnit
from csms.protocol.blocks.charging_profile_rules import Abilities
from csms.protocol.blocks.charging_profile_rules import problems as profile_problems
from csms.protocol.blocks.smart_charging import ClearChargingProfile, SetChargingProfile
from csms.protocol.quirks import Accommodation
from csms.protocol.quirks.accommodations import accommodated
from csms.protocol.vocabulary import Protocol, Sample
from csms.site_limits.appetite import Draw, draw_of, is_resting, wants_a
from csms.site_limits.exposure import Place, Reach, Slot, Step, told
from csms.site_limits.grid import Reserve, SiteLimit, problems
from csms.site_limits.profiles import Target, cannot, clear_limit, set_limit
from csms.site_limits.wiring import Outlet, Via, Wiring, outlet_of, unit_for

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 3, 2, 11, tzinfo=UTC)  # 12:00 in Berlin
ALL = frozenset({1, 2, 3})
LIMIT = SiteLimit(amps=100)


# --- the building's share


@pytest.mark.parametrize(
    ("reserves", "wall", "budget_a"),
    [
        ((), "12:00", 100),
        (("20",), "12:00", 80),
        (("10", "07:00-19:00=40"), "12:00", 60),
        (("10", "07:00-19:00=40"), "19:00", 90),
        (("10", "07:00-19:00=40"), "18:59", 60),
        (("10", "07:00-19:00=40"), "06:54", 90),
        (("10", "07:00-19:00=40"), "06:55", 60),  # vehicles have to give way before the building needs it
        (("22:00-06:00=30",), "23:00", 70),
        (("22:00-06:00=30",), "05:59", 70),
        (("22:00-06:00=30",), "06:00", 100),
        (("150",), "12:00", 0),
    ],
)
def test_the_building_has_its_share_by_the_clock_of_the_site(
    reserves: tuple[str, ...], wall: str, budget_a: int
) -> None:
    limit = SiteLimit(amps=100, reserves=tuple(map(Reserve.read, reserves)))
    at = datetime.fromisoformat(f"2026-03-02T{wall}:00").replace(tzinfo=BERLIN)

    assert limit.budget_a(at.astimezone(UTC), BERLIN) == budget_a


@pytest.mark.parametrize("text", ["", "many", "07:00=5", "07:00-07:00=5", "25:00-26:00=5", "-3", "07:00-08:00=", "1e3"])
def test_what_is_no_reserve_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        Reserve.read(text)


@pytest.mark.parametrize("text", ["20", "07:00-19:00=40", "22:00-06:00=0"])
def test_a_reserve_reads_as_it_is_written(text: str) -> None:
    assert str(Reserve.read(text)) == text


def test_a_limit_that_cannot_be_kept_is_refused_with_every_reason() -> None:
    narrow = SiteLimit(amps=20, reserves=(Reserve(amps=16),), offline_a=4)

    assert problems(narrow, [32, 32]) == [
        "4 A are left when the building draws most, a vehicle needs 6 A",
        "what an EVSE may draw unheard is 0 A, or at least the minimum of 6 A",
        "2 EVSEs that draw 4 A each unheard are more than 4 A",
    ]
    assert problems(SiteLimit(amps=100, offline_a=6), [32] * 16) == []
    assert problems(SiteLimit(amps=100, offline_a=6), [32] * 17) == [
        "17 EVSEs that draw 6 A each unheard are more than 100 A"
    ]


# --- wiring


def wired(wiring: Wiring | None = None, *, limit: SiteLimit = LIMIT, evse: int = 1, **given: object) -> Outlet:
    values: dict[str, object] = {"is_dc": False, "power_max_w": None, "settings": {}, **given}
    return outlet_of(wiring or Wiring(), limit, evse=evse, **values)  # type: ignore[arg-type]


def test_an_evse_of_which_nothing_is_known_counts_on_all_phases_with_32_a() -> None:
    assert wired() == Outlet(lines=ALL, amps_max=32, phases=3, is_dc=False)


@pytest.mark.parametrize(("rotation", "line"), [("RST", 1), ("RTS", 1), ("SRT", 2), ("STR", 2), ("TRS", 3), ("TSR", 3)])
def test_an_evse_of_one_phase_counts_on_that_one_where_its_rotation_is_known(rotation: str, line: int) -> None:
    said = wired(Wiring(phases=1, rotation=rotation))
    told_16 = wired(Wiring(phases=1), settings={"ConnectorPhaseRotation": f"0.RST,1.{rotation},2.RST"})
    told_201 = wired(settings={"EVSE#1.SupplyPhases": "1", "EVSE#1.PhaseRotation": rotation})

    assert {each.lines for each in (said, told_16, told_201)} == {frozenset({line})}


@pytest.mark.parametrize("rotation", [None, "NotApplicable", "Unknown", "xyz"])
def test_an_evse_of_one_phase_counts_on_all_where_nobody_knows_which(rotation: str | None) -> None:
    assert wired(settings={"ChargingStation.SupplyPhases": "1", "ChargingStation.PhaseRotation": rotation}).lines == ALL


def test_a_connection_of_one_phase_has_one() -> None:
    one = SiteLimit(amps=40, phases=1)

    assert wired(limit=one, settings={"EVSE#1.SupplyPhases": "3"}).lines == {1}
    assert wired(Wiring(phases=1, rotation="STR"), limit=one).lines == {1}


@pytest.mark.parametrize(
    ("given", "amps"),
    [
        ({"power_max_w": Decimal(22_000)}, 32),
        ({"power_max_w": Decimal(11_000)}, 16),
        ({"power_max_w": Decimal(50_000), "is_dc": True}, 81),  # 50 kW out are 55.6 kW in
        ({"is_dc": True}, 125),
        ({"wiring": Wiring(amps=20), "power_max_w": Decimal(22_000)}, 20),
        ({"wiring": Wiring(phases=1), "power_max_w": Decimal(7_400)}, 33),
    ],
)
def test_the_most_that_an_evse_draws_is_what_was_said_else_its_power(given: dict[str, object], amps: int) -> None:
    assert wired(given.pop("wiring", None), **given).amps_max == amps  # type: ignore[arg-type]


# --- how it is told

A, W = RateUnit.A, RateUnit.W


@pytest.mark.parametrize(
    ("outlet", "units", "unit"),
    [
        (wired(), None, A),
        (wired(), {A, W}, A),
        (wired(), {W}, None),  # watts of three phases could flow on one
        (wired(Wiring(phases=1)), {W}, W),
        (wired(is_dc=True), None, W),
        (wired(is_dc=True), {A}, A),
    ],
)
def test_amperes_are_told_as_amperes_and_as_watts_only_where_these_divide_alike(
    outlet: Outlet, units: set[RateUnit] | None, unit: RateUnit | None
) -> None:
    abilities = Abilities(units=None if units is None else frozenset(units))

    assert unit_for(outlet, abilities) == unit
    assert (cannot(target(outlet, abilities)) is None) == (unit is not None)


def target(outlet: Outlet | None = None, abilities: Abilities | None = None, **given: object) -> Target:
    values: dict[str, object] = {"evse": 2, "voltage_v": 230, "transaction": "4711", **given}
    return Target(outlet=outlet or wired(), abilities=abilities or Abilities(stack_level_max=8), **values)  # type: ignore[arg-type]


@pytest.mark.parametrize("slot", list(Slot))
@pytest.mark.parametrize("via", list(Via))
def test_every_profile_is_one_that_the_specification_allows(via: Via, slot: Slot) -> None:
    command = set_limit(target(wired(Wiring(via=via))), slot, 16)

    assert profile_problems(command.profile, evse=command.evse, abilities=Abilities(stack_level_max=8)) == []


def test_a_session_is_told_by_a_profile_of_its_own_on_the_highest_level_and_no_clock_is_needed() -> None:
    base, tx = (set_limit(target(), slot, amps).profile for slot, amps in ((Slot.BASE, 0), (Slot.TX, 16)))

    assert (base.purpose, tx.purpose) == (Purpose.TX_DEFAULT, Purpose.TX)
    assert {base.kind, tx.kind} == {ProfileKind.RELATIVE}
    assert {base.stack_level, tx.stack_level} == {8}
    assert (base.transaction, tx.transaction) == (None, "4711")
    assert base.id != tx.id
    assert [clear_limit(2, slot).profile for slot in (Slot.BASE, Slot.TX)] == [base.id, tx.id]
    assert (base.schedules[0].periods[0].limit, tx.schedules[0].periods[0].limit) == (0, 16)


@given(st.none() | st.integers(0, 9), st.integers(0, 9))
def test_levels_that_count_from_one_stay_within_those_of_the_charge_point(highest: int | None, level: int) -> None:
    habits = frozenset({Accommodation.STACK_LEVEL_FROM_ONE})
    ours = set_limit(target(abilities=Abilities(stack_level_max=highest)), Slot.TX, 16)
    [told_] = accommodated(ours, habits, Protocol.V16)
    theirs = ClearChargingProfile(stack_level=level, stack_level_max=highest)
    [cleared] = accommodated(theirs, habits, Protocol.V16)

    assert isinstance(told_, SetChargingProfile)
    assert isinstance(cleared, ClearChargingProfile)
    assert told_.profile.stack_level == (1 if highest is None else highest)
    assert cleared.stack_level == (level + 1 if highest is None or level < highest else level)


def test_watts_are_rounded_down_and_leave_a_rectifier_its_losses() -> None:
    dc, one = wired(is_dc=True), wired(Wiring(phases=1))
    watts = Abilities(units=frozenset({W}))

    assert set_limit(target(dc, watts), Slot.TX, 40).profile.schedules[0].periods[0].limit == 24_840
    assert set_limit(target(one, watts), Slot.TX, 6).profile.schedules[0].periods[0].limit == 1380
    assert set_limit(target(one), Slot.TX, 6).profile.schedules[0].periods[0].phases == 1


def test_a_charge_point_without_smart_charging_cannot_be_told() -> None:
    assert cannot(target(abilities=Abilities(announced=False))) == "it does not announce smart charging"


# --- what counts

AMPS = st.none() | st.integers(0, 32)


def step(id_: int, amps: int | None, *, accepted: bool | None = True, slot: Slot = Slot.BASE) -> Step:
    at = NOON + timedelta(seconds=id_)
    return Step(
        id=id_, slot=slot, amps=amps, sent_at=at, session=9 if slot is Slot.TX else None,
        answered_at=None if accepted is None else at, accepted=accepted,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "most"),
    [
        ([], 32),
        ([step(1, 0)], 0),
        ([step(1, 0, accepted=None)], 32),
        ([step(1, 16), step(2, 6, accepted=False)], 16),
        ([step(1, 6), step(2, 16, accepted=False)], 16),
        ([step(1, 6), step(2, 16, accepted=False), step(3, 10)], 10),
        ([step(1, 6), step(2, 16, accepted=None), step(3, 10, accepted=False)], 16),
        ([step(1, 6), step(2, None, accepted=None)], 32),  # taken off, perhaps
        ([step(1, 6), step(2, None)], 32),
    ],
)
def test_the_larger_of_old_and_new_counts_until_one_is_accepted(steps: list[Step], most: int) -> None:
    assert told(reversed(steps)).at_most_a(32) == most


@given(
    st.lists(st.tuples(AMPS, st.integers(0, 9), st.integers(0, 9), st.sampled_from([True, False, None])), max_size=6)
)
def test_whatever_is_sent_late_or_answered_late_what_holds_is_counted(
    sent: list[tuple[int | None, int, int, bool | None]],
) -> None:
    """`sent`: limit, when it goes out, how long until the charge point has answered, and what; None: the answer is lost."""
    steps = []
    effects: list[tuple[float, int | None]] = []
    for id_, (amps, at, takes, accepted) in enumerate(sent, 1):
        gone, back = NOON + timedelta(seconds=at), NOON + timedelta(seconds=at + takes + 0.5)
        steps.append(
            Step(
                id=id_, slot=Slot.BASE, amps=amps, sent_at=gone, accepted=accepted,
                answered_at=None if accepted is None else back,
            )
        )  # fmt: skip
        if accepted:
            effects.append((at + takes + 0.25, amps))
    holds = max(effects, key=lambda each: each[0])[1] if effects else None

    assert told(steps).at_most_a(32) >= (32 if holds is None else holds)


@given(st.lists(st.tuples(AMPS, st.booleans()), min_size=1, max_size=20))
def test_a_boot_takes_away_what_is_not_accepted_again(answers: list[tuple[int | None, bool]]) -> None:
    before = step(0, 6)
    after = [step(id_, amps, accepted=accepted) for id_, (amps, accepted) in enumerate(answers, 2)]
    boot = NOON + timedelta(seconds=1)
    patience = timedelta(seconds=122)
    doubtful = told([before, *after]).is_doubtful_after(boot, NOON + timedelta(hours=1), patience)

    assert doubtful == (not any(accepted for _, accepted in answers))
    assert not told([before]).is_doubtful_after(boot, NOON + timedelta(hours=1), patience)


def test_what_is_measured_counts_where_the_limit_may_not_hold() -> None:
    base = told([step(1, 6)])
    place = Place(
        charge_point="CP", evse=1, lines=ALL, amps_max=32, reach=Reach.REFUSING, base=base, session=9, measured_a=40
    )

    assert place.counted_a == 40


def test_what_a_session_was_told_goes_with_it() -> None:
    base, tx = told([step(1, 0)]), told([step(2, 16, slot=Slot.TX)])
    place = Place(charge_point="CP", evse=1, lines=ALL, amps_max=32, reach=Reach.LIVE, base=base, tx=tx, session=9)
    ended = Place(charge_point="CP", evse=1, lines=ALL, amps_max=32, reach=Reach.LIVE, base=base, tx=tx)

    assert (place.counted_a, place.allowed_a) == (16, 16)
    assert (ended.counted_a, ended.allowed_a) == (0, 0)


def test_what_fails_is_tried_again_later_each_time_until_once_an_hour() -> None:
    pace = timedelta(minutes=1)
    waits = [
        (told(step(n, 6, accepted=False) for n in range(1, count + 1)).retry_at(pace) or NOON)
        - (NOON + timedelta(seconds=count))
        for count in (1, 2, 3, 7, 20)
    ]

    assert waits == [timedelta(minutes=minutes) for minutes in (1, 2, 4, 60, 60)]
    assert told([step(1, 6)]).retry_at(pace) is None


# --- what a vehicle wants

WAS_ALLOWED = NOON - timedelta(minutes=20)


def draws(*amperes: float) -> list[Draw]:
    return [
        Draw(received_at=WAS_ALLOWED + timedelta(minutes=n), amps=Decimal(str(each)))
        for n, each in enumerate(amperes, start=1)
    ]


def wants(*amperes: float, allowed_a: int = 16, before_a: int = 32) -> int:
    return wants_a(
        draws(*amperes), allowed_a=allowed_a, allowed_since=WAS_ALLOWED, before_a=before_a, amps_max=32, min_a=6
    )


@pytest.mark.parametrize(
    ("amperes", "wanted"),
    [
        ((), 32),
        ((10,), 32),  # one reading may be from before
        ((10, 9.5), 12),
        ((3, 2), 6),
        ((10, 16), 32),
        ((14.5, 14.5), 32),
        ((9, 9, 15.2), 32),  # it has come up to its limit: it may grow again
    ],
)
def test_what_a_vehicle_leaves_for_a_while_goes_to_others_until_it_comes_up_to_its_limit(
    amperes: tuple[float, ...], wanted: int
) -> None:
    assert wants(*amperes) == wanted


def test_what_it_was_thought_to_want_stays_until_readings_say_otherwise() -> None:
    assert wants(10, 10, allowed_a=12, before_a=12) == 12
    assert wants(allowed_a=12, before_a=12) == 12
    assert wants(12, allowed_a=12, before_a=12) == 32
    before_the_limit = [Draw(received_at=WAS_ALLOWED, amps=Decimal(1))] * 2
    assert wants_a(before_the_limit, allowed_a=16, allowed_since=WAS_ALLOWED, before_a=32, amps_max=32, min_a=6) == 32


def test_a_vehicle_that_takes_nothing_rests_and_one_that_may_not_does_not() -> None:
    def resting(*amperes: float, state: str | None = None, allowed_a: int = 16) -> bool:
        return is_resting(draws(*amperes), state, allowed_a=allowed_a, allowed_since=WAS_ALLOWED, min_a=6)

    assert resting(0, 0.2)
    assert resting(state="SuspendedEV")
    assert not resting(0, 9, state="SuspendedEV")
    assert not resting(0)
    assert not resting(0, 0, state="SuspendedEVSE", allowed_a=0)


def sample(value: str, measurand: str, phase: str | None = None) -> Sample:
    return Sample(value=Decimal(value), measurand=measurand, unit="A", phase=phase)


@pytest.mark.parametrize(
    ("samples", "is_dc", "amps"),
    [
        ([sample("15.9", "Current.Import", "L1"), sample("3", "Current.Import", "L2")], False, "15.9"),
        ([sample("15.9", "Current.Import", "L1"), sample("40", "Current.Import", "N")], False, "15.9"),
        ([sample("2300", "Power.Active.Import")], False, "10"),  # perhaps on one phase
        ([sample("2300", "Power.Active.Import", "L1"), sample("230", "Power.Active.Import", "L2")], False, "10"),
        ([sample("6900", "Power.Active.Import"), sample("200", "Current.Import")], True, "10"),
        ([sample("-5", "Current.Import", "L1")], False, None),
        ([Sample(value=Decimal(5000))], False, None),
    ],
)
def test_the_fullest_phase_is_what_a_reading_says(samples: list[Sample], is_dc: bool, amps: str | None) -> None:
    found = draw_of(samples, NOON, is_dc=is_dc, phases=3, voltage_v=230)

    assert (None if found is None else found.amps) == (None if amps is None else Decimal(amps))
