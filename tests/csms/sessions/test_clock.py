"""What is a wrong clock, and what is only a late message."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from session_story import around, at, folded, start

from csms.sessions.clock import Stamp, Told, correction, told_by
from tests.examples import tried

SOCKET, OTHER = UUID(int=1), UUID(int=2)
HOURS = 120


def stamp(minute: float, *, arrives: float, socket: UUID | None = SOCKET) -> Stamp:
    return Stamp(at=at(minute), received_at=at(arrives), socket=socket)


def test_messages_that_waited_two_hours_in_a_queue_are_no_wrong_clock() -> None:
    queued = [stamp(0, arrives=HOURS), stamp(15, arrives=HOURS + 0.02), stamp(15.05, arrives=HOURS + 0.03)]

    assert told_by(queued).offset_s is None


def test_live_messages_that_are_late_by_the_same_are_a_wrong_clock() -> None:
    assert told_by([stamp(0, arrives=HOURS), stamp(15, arrives=15 + HOURS)]).offset_s == -7200


def test_messages_of_two_sockets_prove_nothing_together() -> None:
    assert told_by([stamp(0, arrives=HOURS), stamp(15, arrives=15 + HOURS, socket=OTHER)]).offset_s is None
    assert told_by([stamp(0, arrives=HOURS, socket=None), stamp(15, arrives=15 + HOURS, socket=None)]).offset_s is None


def test_a_stamp_ahead_of_its_arrival_is_no_delay() -> None:
    assert told_by([stamp(60, arrives=0)]).offset_s == 3600


def test_one_message_in_time_is_a_right_clock_whatever_waited() -> None:
    assert told_by([stamp(0, arrives=HOURS), stamp(20, arrives=20 + HOURS), stamp(150, arrives=150)]).offset_s == 0


@given(delays=st.lists(st.integers(61, 10**7), max_size=6), minute=st.integers(0, 9000))
def test_whatever_is_delivered_at_once_proves_nothing(delays: list[int], minute: int) -> None:
    at_once = [
        Stamp(at=at(minute) - timedelta(seconds=delay), received_at=at(minute), socket=SOCKET) for delay in delays
    ]

    assert told_by(at_once).offset_s is None


def test_jitter_never_moves_the_instant_of_the_tariff() -> None:
    for seconds in ("59.9", "-60", "3"):
        assert folded([start()], surroundings=around(clock_offset_s=Decimal(seconds))).tariff_at == at(0)
    assert folded([start()], surroundings=around(clock_offset_s=Decimal(-61))).tariff_at == at(0, seconds=61)


# --- how sure that is ------------------------------------------------------------------------------------------------


def test_proofs_that_agree_leave_no_doubt() -> None:
    assert told_by([stamp(0, arrives=HOURS), stamp(15, arrives=15 + HOURS)]).uncertainty_s == 0
    assert told_by([stamp(0, arrives=0), stamp(20, arrives=20.5)]).uncertainty_s == 0


def test_a_clock_that_jumps_is_uncertain_by_the_jump() -> None:
    ahead = [stamp(0, arrives=0), stamp(24, arrives=20)]
    behind = [stamp(0, arrives=HOURS), stamp(15, arrives=15 + HOURS), stamp(150, arrives=150)]

    assert told_by(ahead) == (0, 240)
    assert told_by(behind) == (0, 7200 - 60)  # a minute may be travel


def test_what_waited_in_a_queue_is_no_doubt() -> None:
    assert told_by([stamp(0, arrives=HOURS), stamp(15, arrives=HOURS), stamp(150, arrives=150)]).uncertainty_s == 0
    assert told_by([]).uncertainty_s == 0


@given(seconds=st.lists(st.integers(-60, 0), min_size=1, max_size=6))
def test_travel_is_never_a_doubt(seconds: list[int]) -> None:
    late = [
        Stamp(at=at(n), received_at=at(n) - timedelta(seconds=behind), socket=SOCKET)
        for n, behind in enumerate(seconds)
    ]

    assert told_by(late).uncertainty_s == 0


def _as_defined(stamps: list[Stamp]) -> Told:
    """The same by looking at each pair of stamps."""
    seconds = [Decimal((each.at - each.received_at) // timedelta(microseconds=1)) / 10**6 for each in stamps]
    proven = [
        ahead
        for each, ahead in zip(stamps, seconds, strict=True)
        if ahead >= -60
        or any(
            each.socket is not None
            and other.socket == each.socket
            and abs(other.received_at - each.received_at) >= timedelta(seconds=10)
            and abs(another - ahead) <= 5
            for other, another in zip(stamps, seconds, strict=True)
        )
    ]
    if not proven:
        return Told(offset_s=None, uncertainty_s=Decimal(0))
    offset = min(proven, key=lambda each: (abs(each), each))
    doubts = [max(each - offset, offset - each - 60, Decimal(0)) for each in proven]
    return Told(offset_s=offset, uncertainty_s=max(doubts))


_STAMPS = st.builds(
    lambda written, delay, socket: stamp(written / 60, arrives=(written + delay) / 60, socket=socket),
    st.integers(0, 40),
    st.one_of(st.integers(-20, 90), st.integers(595, 612)),
    st.sampled_from([SOCKET, OTHER, None]),
)


@tried(300)
@given(stamps=st.lists(_STAMPS, max_size=12))
def test_many_stamps_prove_what_each_pair_of_them_does(stamps: list[Stamp]) -> None:
    assert told_by(stamps) == _as_defined(stamps)


def test_a_hundred_thousand_stamps_are_no_more_work_than_their_order() -> None:
    queued = [stamp(n / 60, arrives=2000 + n / 1000) for n in range(100_000)]

    assert told_by(queued) == (None, 0)


def test_no_offset_is_too_large_to_be_left_alone() -> None:
    for beyond in ("1E400", "-1E400", "NaN", "Infinity"):
        assert correction(Decimal(beyond), limit_s=Decimal(60)) == timedelta()


def test_what_is_corrected_is_more_than_travel() -> None:
    limit = Decimal(60)

    assert correction(Decimal("-7200.4"), limit_s=limit) == timedelta(hours=2)
    assert correction(Decimal(60), limit_s=limit) == correction(None, limit_s=limit) == timedelta()
