"""What is a wrong clock, and what is only a late message."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from session_story import around, at, folded, start

from csms.sessions.clock import Stamp, correction, offset_s, uncertainty_s

SOCKET, OTHER = UUID(int=1), UUID(int=2)
HOURS = 120


def stamp(minute: float, *, arrives: float, socket: UUID | None = SOCKET) -> Stamp:
    return Stamp(at=at(minute), received_at=at(arrives), socket=socket)


def test_messages_that_waited_two_hours_in_a_queue_are_no_wrong_clock() -> None:
    queued = [stamp(0, arrives=HOURS), stamp(15, arrives=HOURS + 0.02), stamp(15.05, arrives=HOURS + 0.03)]

    assert offset_s(queued) is None


def test_live_messages_that_are_late_by_the_same_are_a_wrong_clock() -> None:
    assert offset_s([stamp(0, arrives=HOURS), stamp(15, arrives=15 + HOURS)]) == -7200


def test_messages_of_two_sockets_prove_nothing_together() -> None:
    assert offset_s([stamp(0, arrives=HOURS), stamp(15, arrives=15 + HOURS, socket=OTHER)]) is None
    assert offset_s([stamp(0, arrives=HOURS, socket=None), stamp(15, arrives=15 + HOURS, socket=None)]) is None


def test_a_stamp_ahead_of_its_arrival_is_no_delay() -> None:
    assert offset_s([stamp(60, arrives=0)]) == 3600


def test_one_message_in_time_is_a_right_clock_whatever_waited() -> None:
    assert offset_s([stamp(0, arrives=HOURS), stamp(20, arrives=20 + HOURS), stamp(150, arrives=150)]) == 0


@given(delays=st.lists(st.integers(61, 10**7), max_size=6), minute=st.integers(0, 9000))
def test_whatever_is_delivered_at_once_proves_nothing(delays: list[int], minute: int) -> None:
    at_once = [
        Stamp(at=at(minute) - timedelta(seconds=delay), received_at=at(minute), socket=SOCKET) for delay in delays
    ]

    assert offset_s(at_once) is None


def test_jitter_never_moves_the_instant_of_the_tariff() -> None:
    for seconds in ("59.9", "-60", "3"):
        assert folded([start()], surroundings=around(clock_offset_s=Decimal(seconds))).tariff_at == at(0)
    assert folded([start()], surroundings=around(clock_offset_s=Decimal(-61))).tariff_at == at(0, seconds=61)


# --- how sure that is ------------------------------------------------------------------------------------------------


def test_proofs_that_agree_leave_no_doubt() -> None:
    assert uncertainty_s([stamp(0, arrives=HOURS), stamp(15, arrives=15 + HOURS)]) == 0
    assert uncertainty_s([stamp(0, arrives=0), stamp(20, arrives=20.5)]) == 0


def test_a_clock_that_jumps_is_uncertain_by_the_jump() -> None:
    ahead = [stamp(0, arrives=0), stamp(24, arrives=20)]
    behind = [stamp(0, arrives=HOURS), stamp(15, arrives=15 + HOURS), stamp(150, arrives=150)]

    assert (offset_s(ahead), uncertainty_s(ahead)) == (0, 240)
    assert (offset_s(behind), uncertainty_s(behind)) == (0, 7200 - 60)  # a minute may be travel


def test_what_waited_in_a_queue_is_no_doubt() -> None:
    assert uncertainty_s([stamp(0, arrives=HOURS), stamp(15, arrives=HOURS), stamp(150, arrives=150)]) == 0
    assert uncertainty_s([]) == 0


@given(seconds=st.lists(st.integers(-60, 0), min_size=1, max_size=6))
def test_travel_is_never_a_doubt(seconds: list[int]) -> None:
    late = [
        Stamp(at=at(n), received_at=at(n) - timedelta(seconds=behind), socket=SOCKET)
        for n, behind in enumerate(seconds)
    ]

    assert uncertainty_s(late) == 0


def test_what_is_corrected_is_more_than_travel() -> None:
    limit = Decimal(60)

    assert correction(Decimal("-7200.4"), limit_s=limit) == timedelta(hours=2)
    assert correction(Decimal(60), limit_s=limit) == correction(None, limit_s=limit) == timedelta()
