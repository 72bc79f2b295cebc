"""Of a run of equal statuses one a second is stored, and every change."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from csms.intake.repeats import CONNECTORS_MAX, StatusRepeats
from csms.protocol.vocabulary import StatusReported

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOCKET = uuid4()
FAULTED = StatusReported(evse=1, connector=1, status="Faulted", at=T0, error_code="GroundFailure", info="loose")


def ms(count: int) -> timedelta:
    return timedelta(milliseconds=count)


def after(status: StatusReported = FAULTED) -> StatusRepeats:
    repeats = StatusRepeats()
    repeats.stored(SOCKET, status, at=T0)
    return repeats


def test_the_same_again_within_a_second_is_a_repeat() -> None:
    assert after().holds(SOCKET, replace(FAULTED, at=T0 + ms(900)), at=T0 + ms(900))


@pytest.mark.parametrize(
    "change",
    [
        {"status": "Available"},
        {"error_code": "NoError"},
        {"info": "loose again"},
        {"vendor_error_code": "17"},
        {"connector": 2},
        {"evse": 2},
        {"at": T0 + ms(1000)},  # queued while offline: each is of its own time
        {"at": T0 - ms(1)},  # its clock went back, which sessions look at
        {"at": None},
    ],
)
def test_whatever_differs_is_stored(change: dict[str, object]) -> None:
    assert not after().holds(SOCKET, replace(FAULTED, **change), at=T0 + ms(1))  # type: ignore[arg-type]


def test_after_a_second_and_on_another_socket_it_is_stored_again() -> None:
    assert not after().holds(SOCKET, FAULTED, at=T0 + ms(1000))
    assert not after().holds(uuid4(), FAULTED, at=T0 + ms(1))
    repeats = after()
    repeats.closed(SOCKET)
    assert not repeats.holds(SOCKET, FAULTED, at=T0 + ms(1))


def test_a_status_without_a_time_is_a_repeat_of_one_without() -> None:
    untimed = replace(FAULTED, at=None)
    assert after(untimed).holds(SOCKET, untimed, at=T0 + ms(1))
    assert not after(untimed).holds(SOCKET, FAULTED, at=T0 + ms(1))


def test_a_charge_point_that_invents_connectors_takes_no_memory() -> None:
    repeats = StatusRepeats()
    for connector in range(1000):
        repeats.stored(SOCKET, replace(FAULTED, connector=connector), at=T0)

    assert sum(repeats.holds(SOCKET, replace(FAULTED, connector=each), at=T0) for each in range(1000)) == CONNECTORS_MAX
