"""What a template does to one charge point, what its answers amount to, and how settings differ. Pure rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.charge_points.device_settings import merged
from csms.charge_points.setting_value import same_value
from csms.protocol.vocabulary import Outcome
from csms.templates.difference import Kind, Known, by_name, differences
from csms.templates.plan import Answer, Drift, Past, Result, Step, drift_of, planned, result_of

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
NEVER = Past(answers={})


def step(wanted: str, known: Known | None = None, past: Past = NEVER, *, unknown: tuple[str, ...] = ()) -> Step:
    [only] = planned({"Interval": wanted}, by_name([] if known is None else [known]), unknown=unknown, past=past)
    return only.step


def answered(status: str | None, *, booted_at: datetime | None = None, again: bool = False) -> Past:
    answer = Answer(wanted="60", status=status, answered_at=None if status is None else NOON)
    return Past(answers={"Interval": answer}, booted_at=booted_at, again=again)


HAS_300 = Known(name="interval", value="300")


@pytest.mark.parametrize(
    ("known", "past", "expected"),
    [
        (HAS_300, NEVER, Step.SET),
        (None, NEVER, Step.SET),
        (Known(name="INTERVAL", value="60"), NEVER, Step.SAME),
        (Known(name="Interval", value="300", mutability="ReadOnly"), NEVER, Step.READ_ONLY),
        (Known(name="Interval", value="60", mutability="ReadOnly"), NEVER, Step.SAME),
        (HAS_300, answered(None), Step.SET),
        (HAS_300, answered("Accepted"), Step.SET),
        (HAS_300, answered("Rejected"), Step.REFUSED),
        (HAS_300, answered("Rejected", again=True), Step.SET),
        (HAS_300, answered("RebootRequired"), Step.AWAITS_REBOOT),
        (HAS_300, answered("RebootRequired", booted_at=NOON - timedelta(hours=1)), Step.AWAITS_REBOOT),
        (HAS_300, answered("RebootRequired", booted_at=LATER), Step.SET),
    ],
)
def test_a_setting_is_asked_for_only_where_that_can_change_something(
    known: Known | None, past: Past, expected: Step
) -> None:
    assert step("60", known, past) is expected


def test_what_a_charge_point_does_not_know_is_not_asked_for() -> None:
    assert step("60", HAS_300, unknown=("INTERVAL",)) is Step.NOT_SUPPORTED


@pytest.mark.parametrize(
    ("statuses", "result"),
    [
        (["Accepted", "unchanged"], Result.APPLIED),
        (["Accepted", "RebootRequired"], Result.REBOOT_REQUIRED),
        (["RebootRequired", "Rejected"], Result.REFUSED),
        (["Accepted", "ReadOnly"], Result.REFUSED),
        (["NotSupported"], Result.REFUSED),
        (["Accepted", None], Result.UNFINISHED),
        (["Rejected", None], Result.UNFINISHED),
    ],
)
def test_the_worst_answer_says_what_became_of_a_template(statuses: list[str | None], result: Result) -> None:
    assert result_of(statuses) is result


@pytest.mark.parametrize(
    ("status", "value", "booted_at", "drift"),
    [
        ("Accepted", "60", None, None),
        ("unchanged", "300", None, Drift.CHANGED),
        ("Accepted", "300", LATER, Drift.CHANGED),
        ("Accepted", None, None, Drift.GONE),
        ("RebootRequired", "300", None, Drift.AWAITS_REBOOT),
        ("RebootRequired", "300", LATER, Drift.CHANGED),
        ("RebootRequired", "60", LATER, None),
        ("Rejected", "300", None, None),
        (None, "300", None, None),
    ],
)
def test_only_what_was_taken_can_drift(
    status: str | None, value: str | None, booted_at: datetime | None, drift: Drift | None
) -> None:
    answer = Answer(wanted="60", status=status, answered_at=NOON)

    assert drift_of(answer, Known(name="Interval", value=value), booted_at=booted_at) is drift


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("60", "60", True),
        ("true", "True", True),
        ("A, B", "B,A", True),
        ("A,B", "A,B,C", False),
        ("a", "A", False),
        (None, None, True),
        (None, "", False),
    ],
)
def test_values_are_compared_as_charge_points_mean_them(one: str | None, other: str | None, same: bool) -> None:
    assert same_value(one, other) is same
    assert same_value(other, one) is same


SETTINGS = st.lists(
    st.builds(
        Known,
        name=st.sampled_from(["Interval", "List", "AuthorizationKey", "SerialNumber", "Iccid"]),
        value=st.none() | st.sampled_from(["1", "2", "a,b", "b,a"]),
        mutability=st.sampled_from([None, "ReadOnly", "ReadWrite"]),
    ),
    max_size=5,
).map(by_name)


@given(SETTINGS, SETTINGS)
def test_differences_name_every_setting_once_and_read_the_same_from_both_sides(
    one: dict[str, Known], other: dict[str, Known]
) -> None:
    there, back = differences(one, other), differences(other, one)
    mirrored = {Kind.ONLY_ONE: Kind.ONLY_OTHER, Kind.ONLY_OTHER: Kind.ONLY_ONE}

    assert [each.name.casefold() for each in there] == sorted({*one, *other})
    assert [(each.one, each.other, each.kind, each.settable) for each in there] == [
        (each.other, each.one, mirrored.get(each.kind, each.kind), each.settable) for each in back
    ]
    assert {each.name for each in there if each.kind is Kind.LEFT_OUT} <= {"AuthorizationKey", "SerialNumber", "Iccid"}
    assert all(each.one in (None, "(hidden)") for each in there if each.why == "secret")


def test_settings_read_in_parts_are_one_outcome() -> None:
    parts = [
        Outcome(accepted=True, status="Accepted", data={"settings": {"A": "1"}, "readonly": ["A"], "unknown": []}),
        Outcome(accepted=True, status="Accepted", data={"settings": {"B": "2"}, "readonly": [], "unknown": ["C"]}),
        Outcome(accepted=False, status="timeout", detail="no answer in time"),
    ]

    whole = merged(parts)

    assert (whole.accepted, whole.status, whole.detail) == (False, "timeout", "no answer in time")
    assert whole.data["settings"] == {"A": "1", "B": "2"}
    assert (whole.data["readonly"], whole.data["unknown"]) == (["A"], ["C"])
