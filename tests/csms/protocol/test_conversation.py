from __future__ import annotations

import contextlib
import itertools
import json

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from csms.protocol.conversation import (
    FORGOTTEN_MAX,
    AnswerDropped,
    Answered,
    CallReceived,
    Conversation,
    FrameIgnored,
    Refused,
    TimedOut,
    TooManyCalls,
)
from csms.protocol.frames import Broken, Call, Fault


def a_conversation(*, calls_waiting_max: int = 100) -> Conversation:
    numbers = itertools.count(1)
    return Conversation(
        new_id=lambda: f"ours-{next(numbers)}",
        calls_waiting_max=calls_waiting_max,
        has_answer=lambda fault: fault is not Fault.ANSWER,
    )


def sent(conversation: Conversation) -> list[str]:
    return [written.text for written in conversation.to_send()]


def test_their_call_is_to_be_answered_and_the_answer_carries_its_id() -> None:
    conversation = a_conversation()
    conversation.receive('[2,"7","Heartbeat",{}]', now=0)

    (event,) = conversation.events()
    assert event == CallReceived(Call("7", "Heartbeat", {}), '[2,"7","Heartbeat",{}]')
    assert conversation.calls_unanswered == 1

    conversation.answer(event.frame, {"currentTime": "x"})
    assert sent(conversation) == ['[3,"7",{"currentTime":"x"}]']
    assert conversation.calls_unanswered == 0


def test_the_same_id_twice_is_two_calls() -> None:
    conversation = a_conversation()
    conversation.receive('[2,"1","Heartbeat",{}]', now=0)
    conversation.receive('[2,"1","Authorize",{"idTag":"A"}]', now=0)

    assert [event.frame.action for event in conversation.events() if isinstance(event, CallReceived)] == [
        "Heartbeat",
        "Authorize",
    ]


def test_a_broken_frame_is_to_be_answered_where_there_is_an_answer() -> None:
    conversation = a_conversation()
    conversation.receive("hello", now=0)
    conversation.receive("[3,null]", now=0)

    assert conversation.events() == [
        CallReceived(Broken("-1", None, Fault.NOT_RPC), "hello"),
        FrameIgnored(Fault.ANSWER),
    ]
    assert conversation.calls_unanswered == 1


def test_our_second_call_waits_for_the_answer_to_the_first() -> None:
    conversation = a_conversation()
    first = conversation.call("Reset", {"type": "Soft"}, timeout_s=30, now=0)
    second = conversation.call("ClearCache", {}, timeout_s=30, now=1)
    assert sent(conversation) == ['[2,"ours-1","Reset",{"type":"Soft"}]']

    conversation.receive('[3,"ours-1",{"status":"Accepted"}]', now=2)
    assert conversation.events() == [Answered(first, "Reset", {"status": "Accepted"})]
    assert sent(conversation) == ['[2,"ours-2","ClearCache",{}]']

    conversation.receive('[4,"ours-2","NotSupported","",{}]', now=3)
    assert conversation.events() == [Refused(second, "ClearCache", "NotSupported", "")]


def test_calls_may_cross() -> None:
    conversation = a_conversation()
    ticket = conversation.call("Reset", {}, timeout_s=30, now=0)
    conversation.receive('[2,"ours-1","Heartbeat",{}]', now=0)
    conversation.receive('[3,"ours-1",{}]', now=0)

    received, answered = conversation.events()
    assert isinstance(received, CallReceived)
    assert answered == Answered(ticket, "Reset", {})


def test_a_timeout_frees_the_slot_and_the_late_answer_is_dropped() -> None:
    conversation = a_conversation()
    first = conversation.call("Reset", {}, timeout_s=30, now=0)
    conversation.call("ClearCache", {}, timeout_s=60, now=0)
    conversation.to_send()
    assert conversation.deadline == 30

    conversation.tick(30)
    assert conversation.events() == [TimedOut(first, sent=True)]
    assert sent(conversation) == ['[2,"ours-2","ClearCache",{}]']
    assert conversation.deadline == 90

    conversation.receive('[3,"ours-1",{}]', now=31)
    assert conversation.events() == [AnswerDropped(late=True)]
    assert conversation.call_in_flight


def test_a_call_whose_turn_never_came_has_timed_out_unsent() -> None:
    conversation = a_conversation()
    conversation.call("Reset", {}, timeout_s=100, now=0)
    second = conversation.call("ClearCache", {}, timeout_s=10, now=0)

    conversation.tick(10)
    assert conversation.events() == [TimedOut(second, sent=False)]


def test_answers_that_nobody_waits_for_are_counted_and_not_kept() -> None:
    conversation = a_conversation()
    for number in range(1000):
        conversation.receive(f'[3,"{number}",{{}}]', now=0)
    conversation.events()

    assert conversation.answers_unknown == 1000
    assert conversation.events() == []
    assert conversation.to_send() == []


def test_a_second_answer_to_the_same_call_is_dropped() -> None:
    conversation = a_conversation()
    ticket = conversation.call("Reset", {}, timeout_s=30, now=0)
    conversation.receive('[3,"ours-1",{"status":"Accepted"}]', now=0)
    conversation.receive('[3,"ours-1",{"status":"Rejected"}]', now=0)

    assert conversation.events() == [Answered(ticket, "Reset", {"status": "Accepted"}), AnswerDropped(late=False)]


def test_an_answer_of_wrong_arity_still_frees_the_slot() -> None:
    conversation = a_conversation()
    ticket = conversation.call("Reset", {}, timeout_s=30, now=0)
    conversation.receive('[3,"ours-1"]', now=0)

    assert conversation.events() == [Answered(ticket, "Reset", None)]


def test_a_withdrawn_call_is_not_sent_but_a_sent_one_keeps_its_slot() -> None:
    conversation = a_conversation()
    first = conversation.call("Reset", {}, timeout_s=30, now=0)
    second = conversation.call("ClearCache", {}, timeout_s=30, now=0)
    conversation.withdraw(second)
    conversation.withdraw(first)
    conversation.to_send()
    assert conversation.call_in_flight

    conversation.receive('[3,"ours-1",{}]', now=1)
    assert conversation.to_send() == []


def test_more_waiting_calls_than_allowed_are_refused() -> None:
    conversation = a_conversation(calls_waiting_max=2)
    for _ in range(3):
        conversation.call("Reset", {}, timeout_s=30, now=0)

    with pytest.raises(TooManyCalls, match="2 calls wait"):
        conversation.call("Reset", {}, timeout_s=30, now=0)


def test_only_a_few_timed_out_ids_are_remembered() -> None:
    conversation = a_conversation()
    for number in range(FORGOTTEN_MAX + 1):
        conversation.call("Reset", {}, timeout_s=1, now=number)
        conversation.tick(number + 1)
    conversation.events()

    conversation.receive('[3,"ours-1",{}]', now=100)
    assert conversation.events() == [AnswerDropped(late=False)]


class Talk(RuleBasedStateMachine):
    """Any order of calls, answers (right, wrong, repeated, late), withdrawals and time."""

    def __init__(self) -> None:
        super().__init__()
        self.conversation = a_conversation(calls_waiting_max=5)
        self.now = 0.0
        self.tickets: list[int] = []
        self.sent_ids: list[str] = []
        self.over: list[int] = []
        self.in_flight: str | None = None

    def settle(self) -> None:
        """Bring the model up to date with what happened, in the order of the claims."""
        for event in self.conversation.events():
            if isinstance(event, Answered | Refused | TimedOut):
                assert event.ticket in self.tickets
                assert event.ticket not in self.over, "each call is over once"
                self.over.append(event.ticket)
                if not isinstance(event, TimedOut) or event.sent:
                    assert self.in_flight is not None, "only a sent call can be answered"
                    self.in_flight = None
        for written in self.conversation.to_send():
            message = json.loads(written.text)
            assert self.in_flight is None, "at most one call of ours is unanswered"
            assert message[1] not in self.sent_ids, "ids are new"
            self.sent_ids.append(message[1])
            self.in_flight = message[1]

    @rule(timeout_s=st.floats(min_value=0.1, max_value=10))
    def call(self, timeout_s: float) -> None:
        with contextlib.suppress(TooManyCalls):
            self.tickets.append(self.conversation.call("Reset", {}, timeout_s=timeout_s, now=self.now))
        self.settle()

    @rule(seconds=st.floats(min_value=0, max_value=6))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.conversation.tick(self.now)
        self.settle()

    @precondition(lambda self: self.sent_ids)
    @rule(data=st.data(), kind=st.sampled_from([3, 4]))
    def answer(self, data: st.DataObject, kind: int) -> None:
        message_id = data.draw(st.sampled_from([*self.sent_ids, "unknown"]))
        before = len(self.over)
        expected = message_id == self.in_flight
        self.conversation.receive(json.dumps([kind, message_id, {}]), now=self.now)
        self.settle()
        assert (len(self.over) == before + 1) == expected

    @precondition(lambda self: self.tickets)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        self.conversation.withdraw(data.draw(st.sampled_from(self.tickets)))
        self.settle()

    @invariant()
    def time_is_driven_while_a_call_is_out(self) -> None:
        assert self.conversation.call_in_flight == (self.in_flight is not None)
        if self.in_flight is not None:
            assert self.conversation.deadline is not None


Talk.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyTalk = Talk.TestCase
