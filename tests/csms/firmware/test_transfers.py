"""Requests for firmware and logs, and the statuses that come of them, put together."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.firmware.transfer import (
    ATTEMPTS_FAILED,
    FAILURES,
    NEXT_STEPS,
    SUCCESSES,
    Request,
    State,
    Told,
    Transfer,
    TransferKind,
    log_messages,
    put_together,
)
from csms.protocol.alike import FIRMWARE_STATUSES, LOG_STATUSES
from csms.protocol.v201.firmware import PUBLISH_STATUSES

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ASKED = Request(
    id=7, charge_point="CP-1", kind=TransferKind.FIRMWARE, message="UpdateFirmware", url="https://files.example/x",
    asked_at=NOON, accepted=True, answer="Accepted",
)  # fmt: skip
NEWER = replace(ASKED, id=8, asked_at=NOON + timedelta(minutes=10))


def told(*statuses: str, request: int | None = None, minute: int = 1, charge_point: str = "CP-1") -> list[Told]:
    """One a minute."""
    return [
        Told(
            charge_point=charge_point, kind=TransferKind.FIRMWARE, status=status, request=request,
            at=NOON + timedelta(minutes=minute + number),
        )
        for number, status in enumerate(statuses)
    ]  # fmt: skip


def words(transfer: Transfer) -> list[str]:
    return [step.status for step in transfer.steps]


@pytest.mark.parametrize("request_id", [None, 7])
def test_statuses_are_put_in_order_below_their_request(request_id: int | None) -> None:
    statuses = told("Downloading", "Downloaded", "Installing", "Installed", request=request_id)
    [transfer] = put_together([ASKED], list(reversed(statuses)))

    assert words(transfer) == ["Downloading", "Downloaded", "Installing", "Installed"]
    assert [step.at for step in transfer.steps] == [status.at for status in statuses]
    assert (transfer.state, transfer.failed, transfer.next_step) == (State.DONE, None, None)


@pytest.mark.parametrize(
    ("request_", "statuses", "state"),
    [
        (replace(ASKED, accepted=None, answer=None), (), State.ASKED),
        (replace(ASKED, accepted=None, answer="timeout"), (), State.UNANSWERED),
        (replace(ASKED, accepted=None, answer="timeout"), ("Downloading",), State.RUNNING),
        (replace(ASKED, accepted=False, answer="Rejected"), (), State.REFUSED),
        (ASKED, (), State.ACCEPTED),
        (ASKED, ("Idle",), State.ACCEPTED),
        (ASKED, ("Downloading", "Idle"), State.RUNNING),
        (ASKED, ("Downloading", "SomethingNew"), State.RUNNING),
        (ASKED, ("Downloading", "DownloadFailed"), State.FAILED),
        (ASKED, ("Downloading", "DownloadFailed", "Downloading"), State.RUNNING),
        (replace(ASKED, retries=1), ("Downloading", "DownloadFailed"), State.RUNNING),
        (replace(ASKED, retries=1), ("DownloadFailed", "Downloading", "DownloadFailed"), State.FAILED),
        (ASKED, ("Downloading", "Downloaded", "InvalidSignature"), State.FAILED),
        (ASKED, ("DownloadFailed", "Downloading", "Installed"), State.DONE),
        (ASKED, ("Installed", "Installed"), State.DONE),
    ],
)
def test_the_state_is_what_was_said_last(request_: Request, statuses: tuple[str, ...], state: State) -> None:
    [transfer] = put_together([request_], told(*statuses))

    assert transfer.state is state


def test_a_newer_request_takes_the_place_of_an_open_one_and_its_statuses() -> None:
    statuses = told("Downloading") + told("Downloading", "Installed", minute=11)
    newer, older = put_together([ASKED, NEWER], statuses)

    assert (newer.request, newer.state, words(newer)) == (NEWER, State.DONE, ["Downloading", "Installed"])
    assert (older.request, older.state, words(older)) == (ASKED, State.SUPERSEDED, ["Downloading"])


def test_a_request_that_was_refused_takes_nobodys_place() -> None:
    refused = replace(NEWER, accepted=False, answer="Rejected")
    newer, older = put_together([ASKED, refused], told("Downloading") + told("Installed", minute=11))

    assert (newer.state, newer.failed, words(newer)) == (State.REFUSED, "Rejected", [])
    assert (older.state, words(older)) == (State.DONE, ["Downloading", "Installed"])


def test_a_request_that_had_ended_stays_so_whatever_comes_after() -> None:
    newer, older = put_together([ASKED, NEWER], told("Downloading", "Installed"))

    assert (older.state, newer.state) == (State.DONE, State.ACCEPTED)


def test_a_status_with_an_id_belongs_to_that_request_even_if_a_newer_one_is_open() -> None:
    newer, older = put_together([ASKED, NEWER], told("InstallationFailed", request=7, minute=12))

    assert (older.state, older.failed, words(newer)) == (State.FAILED, "InstallationFailed", [])


@pytest.mark.parametrize(
    "statuses",
    [
        told("Downloading", minute=-5),
        told("Installed", request=99),
        told("Downloading", request=7, charge_point="CP-2"),
        told("Downloading", charge_point="CP-2"),
        [replace(each, kind=TransferKind.LOG) for each in told("Uploading", request=7)],
    ],
)
def test_what_belongs_to_no_request_is_shown_all_the_same(statuses: list[Told]) -> None:
    transfer, loose = put_together([ASKED], statuses)

    assert (transfer.state, transfer.steps) == (State.ACCEPTED, ())
    assert (loose.state, loose.request) == (State.UNSOLICITED, None)
    assert (loose.charge_point, loose.steps[0].request) == (statuses[0].charge_point, statuses[0].request)


def test_after_the_last_word_another_installation_is_nobodys() -> None:
    done, loose = put_together([ASKED], told("Installed", "Installed", "Downloading"))

    assert words(done) == ["Installed"]
    assert done.steps[0].times == 2
    assert words(loose) == ["Downloading"]


def test_a_flood_of_equal_statuses_is_one_step() -> None:
    [transfer] = put_together([ASKED], told(*["Downloading"] * 500, "Downloaded"))

    assert [(step.status, step.times) for step in transfer.steps] == [("Downloading", 500), ("Downloaded", 1)]
    assert transfer.steps[0].last_at - transfer.steps[0].at == timedelta(minutes=499)


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(FIRMWARE_STATUSES)), st.sampled_from([None, 7, 8, 99]), st.integers(-5, 30)),
        max_size=20,
    ),
    st.randoms(),
)
def test_no_status_is_lost_or_doubled_and_the_order_of_arrival_does_not_matter(
    said: list[tuple[str, int | None, int]], chance: object
) -> None:
    statuses = [
        Told(
            charge_point="CP-1", kind=TransferKind.FIRMWARE, status=status, request=request,
            at=NOON + timedelta(minutes=minute, seconds=number),
        )
        for number, (status, request, minute) in enumerate(said)
    ]  # fmt: skip
    shuffled = list(statuses)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    whole = put_together([ASKED, NEWER], statuses)

    assert sum(step.times for transfer in whole for step in transfer.steps) == len(statuses)
    assert put_together([NEWER, ASKED], shuffled) == whole


@pytest.mark.parametrize("status", sorted(FAILURES | ATTEMPTS_FAILED))
def test_after_every_failure_it_is_said_whose_move_it_is(status: str) -> None:
    [transfer] = put_together([ASKED], told(status))

    assert (transfer.state, transfer.failed, transfer.next_step) == (State.FAILED, status, NEXT_STEPS[status])


def test_every_word_for_an_end_is_one_that_charge_points_have() -> None:
    assert FAILURES | ATTEMPTS_FAILED | SUCCESSES <= FIRMWARE_STATUSES | LOG_STATUSES | PUBLISH_STATUSES


@pytest.mark.parametrize(
    ("only", "knows", "lacks", "order"),
    [
        (True, (), (), ("GetLog",)),
        (True, (), ("GetLog",), ("GetLog",)),
        (False, (), (), ("GetDiagnostics", "GetLog")),
        (False, ("GetLog",), (), ("GetLog", "GetDiagnostics")),
        (False, (), ("GetLog",), ("GetDiagnostics",)),
        (False, (), ("GetDiagnostics",), ("GetLog",)),
        (False, (), ("GetLog", "GetDiagnostics"), ("GetDiagnostics", "GetLog")),
    ],
)
def test_logs_are_asked_for_by_what_the_charge_point_knows(
    only: bool, knows: tuple[str, ...], lacks: tuple[str, ...], order: tuple[str, ...]
) -> None:
    assert log_messages(has_get_log_only=only, knows=frozenset(knows), lacks=frozenset(lacks)) == order
