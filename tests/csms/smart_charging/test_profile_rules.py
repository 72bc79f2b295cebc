"""What a profile must fulfil, and how a file of one is read: every mistake by its path."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.protocol.blocks.charging_profile import (
    ChargingLimitCleared,
    ChargingLimitReported,
    ChargingProfile,
    ChargingSchedule,
    ProfileKind,
    Purpose,
    RateUnit,
    Recurrency,
    SchedulePeriod,
)
from csms.protocol.blocks.charging_profile_rules import Abilities, problems
from csms.protocol.blocks.smart_charging import ClearChargingProfile, SetChargingProfile
from csms.protocol.translator import CommandInvalid, translator
from csms.protocol.vocabulary import Protocol
from csms.smart_charging.abilities import abilities_of
from csms.smart_charging.installed import installed
from csms.smart_charging.limits import limits_in_force
from csms.smart_charging.profile_file import ProfileFileInvalid, read_profile

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive
RATES = st.integers(0, 10**9).map(lambda tenths: Decimal(tenths) / 10)


def a_profile(**given: Any) -> ChargingProfile:
    """A sound one, for all EVSEs, unless something else is said."""
    periods = given.pop("periods", (SchedulePeriod(start_s=0, limit=Decimal(16)),))
    start = given.pop("start", NOW)
    unit = given.pop("unit", RateUnit.A)
    schedule = ChargingSchedule(unit=unit, periods=periods, start=start, duration_s=given.pop("duration_s", None))
    usual: dict[str, Any] = {
        "id": 7,
        "purpose": Purpose.TX_DEFAULT,
        "kind": ProfileKind.ABSOLUTE,
        "stack_level": 1,
        "schedules": (schedule,),
    }
    return ChargingProfile(**{**usual, **given})


def a_period(start_s: int, limit: str = "16", **given: Any) -> SchedulePeriod:
    return SchedulePeriod(start_s=start_s, limit=Decimal(limit), **given)


@pytest.mark.parametrize(
    ("profile", "evse", "path"),
    [
        (a_profile(periods=(a_period(5),)), 0, "schedule.periods.0.start_s"),
        (a_profile(periods=()), 0, "schedule.periods"),
        (a_profile(periods=(a_period(0), a_period(60), a_period(60))), 0, "schedule.periods.2.start_s"),
        (a_profile(periods=(a_period(0), a_period(60)), duration_s=60), 0, "schedule.periods.1.start_s"),
        (a_profile(periods=(a_period(0, "16.05"),)), 0, "schedule.periods.0.limit"),
        (a_profile(periods=(a_period(0, "-1"),)), 0, "schedule.periods.0.limit"),
        (a_profile(periods=(a_period(0, phases=4),)), 0, "schedule.periods.0.phases"),
        (a_profile(periods=(a_period(0, phases=3, phase_to_use=1),)), 0, "schedule.periods.0.phase_to_use"),
        (a_profile(duration_s=0), 0, "schedule.duration_s"),
        (a_profile(schedules=()), 0, "schedule"),
        (a_profile(kind=ProfileKind.RECURRING), 0, "recurrency"),
        (a_profile(kind=ProfileKind.RECURRING, recurrency=Recurrency.DAILY, start=None), 0, "schedule.start"),
        (
            a_profile(kind=ProfileKind.RECURRING, recurrency=Recurrency.DAILY, duration_s=86_401),
            0,
            "schedule.duration_s",
        ),
        (a_profile(recurrency=Recurrency.DAILY), 0, "recurrency"),
        (a_profile(start=None), 0, "schedule.start"),
        (a_profile(kind=ProfileKind.RELATIVE), 0, "schedule.start"),
        (a_profile(purpose=Purpose.TX), 1, "purpose"),
        (a_profile(purpose=Purpose.TX, transaction="9"), 0, "purpose"),
        (a_profile(transaction="9"), 1, "purpose"),
        (a_profile(purpose=Purpose.CHARGE_POINT_MAX), 1, "purpose"),
        (a_profile(purpose=Purpose.CHARGE_POINT_MAX, kind=ProfileKind.RELATIVE, start=None), 0, "kind"),
        (a_profile(purpose=Purpose.EXTERNAL_CONSTRAINTS), 0, "purpose"),
        (a_profile(stack_level=-1), 0, "stack_level"),
        (a_profile(valid_from=NOW, valid_to=NOW), 0, "valid_to"),
    ],
)
def test_a_rule_that_is_broken_is_named_with_its_place(profile: ChargingProfile, evse: int, path: str) -> None:
    found = problems(profile, evse=evse)

    assert [each.path for each in found] == [path]
    for protocol in Protocol:
        with pytest.raises(CommandInvalid, match=r"SetChargingProfile cannot be sent: "):
            translator(protocol).command(SetChargingProfile(evse=evse, profile=profile))


@pytest.mark.parametrize(
    ("abilities", "paths"),
    [
        (Abilities(), []),
        (Abilities(stack_level_max=1, units=frozenset({RateUnit.A}), periods_max=1), []),
        (Abilities(stack_level_max=0), ["stack_level"]),
        (Abilities(units=frozenset({RateUnit.W})), ["schedule.unit"]),
        (Abilities(periods_max=0), ["schedule.periods"]),
    ],
)
def test_a_profile_stays_within_what_the_charge_point_can(abilities: Abilities, paths: list[str]) -> None:
    assert [each.path for each in problems(a_profile(), evse=0, abilities=abilities)] == paths


@st.composite
def sound(draw: st.DrawFn) -> tuple[int, ChargingProfile]:
    """Any profile that breaks no rule, and where it goes."""
    purpose = draw(st.sampled_from([Purpose.CHARGE_POINT_MAX, Purpose.TX_DEFAULT, Purpose.TX]))
    kinds = [ProfileKind.ABSOLUTE, ProfileKind.RECURRING]
    kind = draw(st.sampled_from(kinds if purpose is Purpose.CHARGE_POINT_MAX else [*kinds, ProfileKind.RELATIVE]))
    starts = [0, *sorted(draw(st.sets(st.integers(1, 86_399), max_size=4)))]
    phases = draw(st.none() | st.integers(1, 3))
    periods = tuple(SchedulePeriod(start_s=each, limit=draw(RATES), phases=phases) for each in starts)
    schedule = ChargingSchedule(
        unit=draw(st.sampled_from(RateUnit)),
        periods=periods,
        start=None if kind is ProfileKind.RELATIVE else draw(TIMES),
        duration_s=draw(st.none() | st.just(86_400)),
        rate_min=draw(st.none() | RATES),
    )
    valid_from = draw(st.none() | TIMES)
    profile = ChargingProfile(
        id=draw(st.integers(0, 2**31 - 2)),
        purpose=purpose,
        kind=kind,
        stack_level=draw(st.integers(0, 100)),
        schedules=(schedule,),
        recurrency=draw(st.sampled_from(Recurrency)) if kind is ProfileKind.RECURRING else None,
        valid_from=valid_from,
        valid_to=None if valid_from is None else draw(st.none() | st.just(valid_from + timedelta(days=1))),
        transaction=str(draw(st.integers(1, 2**31 - 1))) if purpose is Purpose.TX else None,
    )
    evse = {Purpose.CHARGE_POINT_MAX: st.just(0), Purpose.TX: st.integers(1, 9)}.get(purpose, st.integers(0, 9))
    return draw(evse), profile


@given(sound())
def test_what_breaks_no_rule_can_be_sent_in_every_version(placed: tuple[int, ChargingProfile]) -> None:
    evse, profile = placed

    assert problems(profile, evse=evse) == []
    for protocol in Protocol:
        assert translator(protocol).command(SetChargingProfile(evse=evse, profile=profile)) is not None


@given(sound(), st.data())
def test_one_period_out_of_order_is_found_wherever_it_is(
    placed: tuple[int, ChargingProfile], data: st.DataObject
) -> None:
    evse, profile = placed
    [schedule] = profile.schedules
    number = data.draw(st.integers(0, len(schedule.periods) - 1))
    early = schedule.periods[number].start_s
    twice = (*schedule.periods[: number + 1], a_period(early), *schedule.periods[number + 1 :])
    wrong = replace(profile, schedules=(replace(schedule, periods=twice),))

    assert [each.path for each in problems(wrong, evse=evse)] == [f"schedule.periods.{number + 1}.start_s"]


@given(sound())
def test_a_file_says_what_the_profile_is(placed: tuple[int, ChargingProfile]) -> None:
    _, profile = placed
    [schedule] = profile.schedules

    text = json.dumps(as_file(profile, schedule))

    assert read_profile(text, transaction=profile.transaction) == profile


def as_file(profile: ChargingProfile, schedule: ChargingSchedule) -> dict[str, Any]:
    told = {
        "id": profile.id, "purpose": profile.purpose, "kind": profile.kind, "stack_level": profile.stack_level,
        "recurrency": profile.recurrency,
        "valid_from": None if profile.valid_from is None else profile.valid_from.isoformat(),
        "valid_to": None if profile.valid_to is None else profile.valid_to.isoformat(),
    }  # fmt: skip
    inner = {
        "unit": schedule.unit, "duration_s": schedule.duration_s,
        "rate_min": None if schedule.rate_min is None else float(schedule.rate_min),
        "start": None if schedule.start is None else schedule.start.isoformat(),
        "periods": [
            {"start_s": each.start_s, "limit": float(each.limit), **({} if each.phases is None else {"phases": each.phases})}
            for each in schedule.periods
        ],
    }  # fmt: skip
    return {**_present(told), "schedule": _present(inner)}


def _present(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def test_every_mistake_of_a_file_is_named_with_its_path() -> None:
    wrong = {
        "id": "seven", "purpose": "always", "kind": "absolute", "level": 3,
        "valid_to": "2026-03-01T00:00:00",
        "schedule": {"unit": "kW", "periods": [{"start_s": 0, "limit": 16}, {"start_s": -1, "phases": 1.5}]},
    }  # fmt: skip

    with pytest.raises(ProfileFileInvalid) as caught:
        read_profile(json.dumps(wrong))

    said = {each.path: each.rule for each in caught.value.problems}
    assert (said["level"], said["stack_level"]) == ("is no field of a profile", "is required")
    assert said["id"] == "must be a valid integer"
    assert sorted(said) == [
        "id", "level", "purpose", "schedule.periods.1.limit", "schedule.periods.1.phases", "schedule.periods.1.start_s",
        "schedule.unit", "stack_level", "valid_to",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"id": 1}{', '{"id": NaN}', "\x00", '"x"'])
def test_a_file_that_is_no_json_object_is_named_as_such(text: str) -> None:
    with pytest.raises(ProfileFileInvalid):
        read_profile(text)


@given(st.text())
def test_no_file_breaks_the_reader(text: str) -> None:
    with pytest.raises(ProfileFileInvalid):
        read_profile(text)


@pytest.mark.parametrize(
    ("protocol", "settings", "wanted"),
    [
        (Protocol.V16, {}, Abilities()),
        (
            Protocol.V16,
            {
                "ChargeProfileMaxStackLevel": "8",
                "ChargingScheduleAllowedChargingRateUnit": "Current, Power",
                "ChargingScheduleMaxPeriods": "24",
                "SupportedFeatureProfiles": "Core,SmartCharging",
            },
            Abilities(stack_level_max=8, units=frozenset(RateUnit), periods_max=24, announced=True),
        ),
        (Protocol.V16, {"ChargingScheduleAllowedChargingRateUnit": "A"}, Abilities(units=frozenset({RateUnit.A}))),
        (
            Protocol.V16,
            {"SupportedFeatureProfiles": "Core", "ChargeProfileMaxStackLevel": "-"},
            Abilities(announced=False),
        ),
        (Protocol.V16, {"SupportedFeatureProfiles": ""}, Abilities()),
        (
            Protocol.V201,
            {"SmartChargingCtrlr.RateUnit": "W", "SmartChargingCtrlr.Available": "false"},
            Abilities(units=frozenset({RateUnit.W}), announced=False),
        ),
    ],
)
def test_abilities_are_what_settings_say_and_nothing_else(
    protocol: Protocol, settings: dict[str, str], wanted: Abilities
) -> None:
    assert abilities_of(protocol, settings) == wanted


def test_a_charge_point_holds_what_it_accepted_and_nobody_cleared() -> None:
    base, other = a_profile(id=1), a_profile(id=2, stack_level=2)
    replaced, night = a_profile(id=3), a_profile(id=4, purpose=Purpose.TX, transaction="9")
    gone = a_profile(id=5, stack_level=3, valid_to=NOW)
    changes = [
        SetChargingProfile(evse=1, profile=base),
        SetChargingProfile(evse=1, profile=other),
        SetChargingProfile(evse=1, profile=replaced),  # of base's purpose and level
        SetChargingProfile(evse=2, profile=night),
        SetChargingProfile(evse=1, profile=gone),
        ClearChargingProfile(stack_level=2),
    ]
    told = [(NOW, change) for change in changes]

    assert [each.profile.id for each in installed(told, now=NOW)] == [3, 4]
    assert [each.profile.id for each in installed(told, now=NOW, ended={"9"})] == [3]
    assert [each.profile.id for each in installed(told, now=NOW - timedelta(days=1))] == [3, 4, 5]
    assert installed([*told, (NOW, ClearChargingProfile())], now=NOW) == []


def test_a_limit_holds_until_its_source_clears_it() -> None:
    def limit(source: str, evse: int) -> ChargingLimitReported:
        return ChargingLimitReported(source=source, evse=evse)

    told: list[Any] = [limit("EMS", 0), limit("EMS", 1), limit("SO", 1), limit("EMS", 0)]
    after = [*told, ChargingLimitCleared(source="EMS", evse=0)]

    def held(facts: list[Any]) -> list[tuple[str, int]]:
        return [(each.limit.source, each.limit.evse) for each in limits_in_force((NOW, fact) for fact in facts)]

    assert held(told) == [("EMS", 1), ("SO", 1), ("EMS", 0)]
    assert held(after) == [("SO", 1)]
    assert held([*told, ChargingLimitCleared(source="EMS", evse=1)]) == [("SO", 1), ("EMS", 0)]
