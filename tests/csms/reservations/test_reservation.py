"""What has become of a reservation: the same facts give the same state, in whatever order they come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.protocol.vocabulary import Protocol
from csms.reservations.abilities import obstacle, settings_for
from csms.reservations.reservation import (
    NEXT_STEPS,
    Answered,
    Question,
    Reservation,
    ReservationFact,
    Standing,
    State,
    Told,
    Used,
    next_step,
    standing,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ONE, TWO, SIX = (NOON.replace(hour=hour) for hour in (13, 14, 18))
V16, V201 = Protocol.V16, Protocol.V201


def answered(
    status: str, *, accepted: bool | None, question: Question = Question.RESERVE, at: datetime = NOON
) -> Answered:
    return Answered(question=question, accepted=accepted, status=status, at=at)


YES = answered("Accepted", accepted=True)
OCCUPIED = answered("Occupied", accepted=False)
LOST = answered("timeout", accepted=None)
CANCELLED = answered("Accepted", accepted=True, question=Question.CANCEL, at=ONE)
NOT_CANCELLED = answered("Rejected", accepted=False, question=Question.CANCEL, at=ONE)
EXPIRED, REMOVED = Told(status="Expired", at=TWO), Told(status="Removed", at=ONE)
USED = Used(at=ONE, heard_at=SIX, transaction="4711", session=42, token="ADA")  # an id token, no secret

STORIES: list[tuple[str, list[ReservationFact], State, datetime | None]] = [
    ("nobody has answered", [], State.REQUESTED, None),
    ("the answer was lost", [LOST], State.REQUESTED, None),
    ("it is kept", [YES], State.ACCEPTED, NOON),
    ("it was taken", [OCCUPIED], State.REFUSED, NOON),
    ("it was used", [YES, USED], State.USED, ONE),
    ("it was used though the answer was lost", [LOST, USED], State.USED, ONE),
    ("it was cancelled", [YES, CANCELLED], State.CANCELLED, ONE),
    ("the charge point did not know what to cancel", [YES, NOT_CANCELLED], State.ACCEPTED, NOON),
    ("it was cancelled, and the station says that it has removed it", [YES, CANCELLED, REMOVED], State.CANCELLED, ONE),
    ("the station took it away", [YES, REMOVED], State.REMOVED, ONE),
    ("the station says that it is over", [YES, EXPIRED], State.EXPIRED, TWO),
    ("it was used offline and expired here meanwhile", [YES, EXPIRED, USED], State.USED, ONE),
]


@pytest.mark.parametrize(
    ("facts", "state", "since"), [story[1:] for story in STORIES], ids=[story[0] for story in STORIES]
)
def test_a_reservation_stands_where_its_facts_leave_it(
    facts: list[ReservationFact], state: State, since: datetime | None
) -> None:
    now = standing(SIX, facts, now=TWO)

    assert (now.state, now.since) == (state, since)


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ([], State.EXPIRED),
        ([LOST], State.EXPIRED),
        ([YES], State.EXPIRED),
        ([OCCUPIED], State.REFUSED),
        ([YES, CANCELLED], State.CANCELLED),
        ([YES, REMOVED], State.REMOVED),
        ([YES, USED], State.USED),
    ],
)
def test_time_ends_what_nothing_else_has_ended(facts: list[ReservationFact], state: State) -> None:
    assert standing(SIX, facts, now=SIX).state is state
    assert standing(SIX, facts, now=SIX + timedelta(days=365)).state is state


INSTANTS = st.integers(0, 40).map(lambda quarters: NOON + timedelta(minutes=15 * quarters))
WORDS = st.sampled_from(["Accepted", "Occupied", "Rejected", "timeout"])
FACTS = st.one_of(
    st.builds(
        Answered,
        question=st.sampled_from(Question),
        accepted=st.none() | st.booleans(),
        status=WORDS,
        at=INSTANTS,
        detail=st.none() | st.just("why"),
    ),
    st.builds(Told, status=st.sampled_from(["Expired", "Removed"]), at=INSTANTS),
    st.builds(
        Used,
        at=INSTANTS,
        heard_at=INSTANTS,
        transaction=st.sampled_from(["1", "2"]),
        session=st.none() | st.integers(1, 3),
    ),
)


@given(facts=st.lists(FACTS, max_size=8), more=st.data(), now=INSTANTS)
def test_any_order_of_arrival_and_any_repeat_gives_the_same_state(
    facts: list[ReservationFact], more: st.DataObject, now: datetime
) -> None:
    repeats = more.draw(st.lists(st.sampled_from(facts), max_size=4)) if facts else []
    otherwise = more.draw(st.permutations([*facts, *repeats]))

    assert standing(SIX, otherwise, now=now) == standing(SIX, facts, now=now)


@given(facts=st.lists(FACTS, max_size=8), use=st.builds(Used, at=INSTANTS, heard_at=INSTANTS), now=INSTANTS)
def test_a_use_is_never_undone(facts: list[ReservationFact], use: Used, now: datetime) -> None:
    assert standing(SIX, [*facts, use], now=now).state is State.USED


WISH = Reservation(
    id=17, charge_point="CP-001", evse=1, token="ADA", group=None, until=SIX, asked_at=NOON, actor="ops"
)  # fmt: skip


@pytest.mark.parametrize("word", NEXT_STEPS)
def test_a_refusal_says_whose_move_it_is(word: str) -> None:
    step = next_step(WISH, Standing(state=State.REFUSED, answer=word), [])

    assert step
    assert "{" not in step


def test_a_refusal_in_words_of_its_own_points_at_the_traffic() -> None:
    assert (
        next_step(WISH, Standing(state=State.REFUSED, answer="Sulking"), [])
        == "see what it answered: csms cp trace CP-001"
    )


def test_what_may_be_kept_or_lost_has_a_next_step_and_what_is_over_has_none() -> None:
    uncertain = next_step(WISH, standing(SIX, [LOST], now=TWO), [LOST])
    gone = next_step(WISH, standing(SIX, [YES, NOT_CANCELLED], now=TWO), [YES, NOT_CANCELLED])
    kept = next_step(WISH, standing(SIX, [YES], now=TWO), [YES])

    assert uncertain is not None
    assert "csms reservation cancel 17" in uncertain
    assert gone is not None
    assert "keeps no such reservation" in gone
    assert kept is None


@pytest.mark.parametrize(
    ("protocol", "settings", "evse", "names"),
    [
        (V16, {"supportedfeatureprofiles": "Core,RemoteTrigger"}, 1, "SupportedFeatureProfiles"),
        (V16, {"supportedfeatureprofiles": "Core, reservation"}, 1, None),
        (V16, {"supportedfeatureprofiles": ""}, 1, None),
        (V16, {}, None, None),
        (V16, {"reserveconnectorzerosupported": "false"}, None, "ReserveConnectorZeroSupported"),
        (V16, {"reserveconnectorzerosupported": "false"}, 1, None),
        (V201, {"reservationctrlr.available": "False"}, 1, "ReservationCtrlr.Available"),
        (V201, {"reservationctrlr.enabled": "false"}, 1, "ReservationCtrlr.Enabled"),
        (V201, {"reservationctrlr.nonevsespecific": "false"}, None, "ReservationCtrlr.NonEvseSpecific"),
        (V201, {"reservationctrlr.available": "true", "reservationctrlr.enabled": None}, 1, None),
    ],
)
def test_only_what_a_charge_point_has_said_stands_against_a_reservation(
    protocol: Protocol, settings: dict[str, str | None], evse: int | None, names: str | None
) -> None:
    found = obstacle(protocol, settings, charge_point="CP-001", evse=evse)

    assert (found is None) == (names is None)
    assert found is None or names is None or names in found[0]


@pytest.mark.parametrize("protocol", Protocol)
def test_what_decides_about_any_evse_is_asked_only_for_any_evse(protocol: Protocol) -> None:
    assert set(settings_for(protocol, evse=1)) < set(settings_for(protocol, evse=None))
