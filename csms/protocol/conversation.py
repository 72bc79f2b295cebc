"""One charge point's OCPP-J conversation: calls in flight, their ids and deadlines. Knows no socket, no clock, no version.

Text and `now` (seconds of any monotonic clock) go in; `events()` says what happened, `to_send()` what to write. Both
directions may cross (1.6-J 4.1.1): a CALL of ours never waits for a CALL of theirs, nor the other way round.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from csms.protocol import frames

FORGOTTEN_MAX = 8  # ids of our own calls that timed out, kept to tell a late answer from an unknown one


class CallReceived(NamedTuple):
    """The charge point wants an answer: `answer`, `refuse` or `leave_unanswered` must follow, once."""

    frame: frames.Call | frames.Broken
    text: str


@dataclass(frozen=True, slots=True)
class Answered:
    """Our call `ticket`, which went out as `id`, has its answer."""

    ticket: int
    action: str
    payload: Any
    id: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """Our call `ticket` was answered with a CALLERROR."""

    ticket: int
    action: str
    code: str
    description: str


@dataclass(frozen=True, slots=True)
class TimedOut:
    """No answer to our call `ticket` in time. `sent` False: it waited in vain for the call before it."""

    ticket: int
    sent: bool


@dataclass(frozen=True, slots=True)
class AnswerDropped:
    """An answer that nobody waits for. `late`: to a call of ours that timed out, else to no call we know."""

    late: bool


@dataclass(frozen=True, slots=True)
class ResultDisputed:
    """OCPP 2.1: the charge point could not use what we answered to its call `id`."""

    id: str
    code: str
    description: str


@dataclass(frozen=True, slots=True)
class SendReceived:
    """OCPP 2.1: told without asking for an answer."""

    frame: frames.Send


@dataclass(frozen=True, slots=True)
class FrameIgnored:
    """A frame to which this version has no answer."""

    fault: frames.Fault


Event = CallReceived | Answered | Refused | TimedOut | AnswerDropped | ResultDisputed | SendReceived | FrameIgnored


class Written(NamedTuple):
    """A frame to write; `action` is what it asks or answers, None where that could not be read."""

    text: str
    action: str | None


class TooManyCalls(Exception):
    """Too many calls wait for this charge point; let it answer first."""


@dataclass(slots=True)
class _OwnCall:
    ticket: int
    id: str
    action: str
    payload: dict[str, Any]
    timeout_s: float
    deadline: float


class Conversation:
    """State of one socket's conversation.

    At most one CALL of ours is unanswered at any time (1.6-J 4.1.1, OCPP 2.0.1 Part 4 4.1.1); the others wait in order,
    at most `calls_waiting_max`. Theirs may be any number; who drives the conversation stops reading while
    `calls_unanswered` is at its limit.
    """

    def __init__(
        self,
        *,
        new_id: Callable[[], str],
        calls_waiting_max: int,
        has_answer: Callable[[frames.Fault], bool],
        has_sends: bool = False,
    ) -> None:
        """`has_sends`: the version has SEND and CALLRESULTERROR (2.1)."""
        self._new_id = new_id
        self._calls_waiting_max = calls_waiting_max
        self._has_answer = has_answer
        self._has_sends = has_sends
        self._events: list[Event] = []
        self._to_send: list[Written] = []
        self._tickets = 0
        self._in_flight: _OwnCall | None = None
        self._waiting: list[_OwnCall] = []
        self._forgotten: list[str] = []
        self.calls_unanswered = 0
        self.answers_late = 0
        self.answers_unknown = 0

    # --- what happened, what to write ---

    def events(self) -> list[Event]:
        """What happened since the last time."""
        events, self._events = self._events, []
        return events

    def to_send(self) -> list[Written]:
        """Frames to write, in order."""
        to_send, self._to_send = self._to_send, []
        return to_send

    # --- theirs ---

    def receive(self, text: str, *, now: float) -> None:
        """One text message arrived."""
        frame = frames.parse(text, has_sends=self._has_sends)
        match frame:
            case frames.Call():
                self.calls_unanswered += 1
                self._events.append(CallReceived(frame, text))
            case frames.CallResult():
                self._match(frame, now=now)
            case frames.CallError():
                self._match(frame, now=now)
            case frames.CallResultError():
                self._events.append(ResultDisputed(frame.id, frame.code, frame.description))
            case frames.Send():
                self._events.append(SendReceived(frame))
            case frames.Broken() if self._has_answer(frame.fault):
                self.calls_unanswered += 1
                self._events.append(CallReceived(frame, text))
            case frames.Broken():
                self._events.append(FrameIgnored(frame.fault))

    def answer(self, call: frames.Call | frames.Broken, payload: dict[str, Any]) -> None:
        """Answer one of their calls. Ids are theirs and may repeat (RULES.md 1), so they are not checked."""
        self.leave_unanswered()
        self._to_send.append(Written(frames.encode_result(call.id, payload), call.action))

    def refuse(self, call: frames.Call | frames.Broken, code: str, description: str) -> None:
        """Answer one of their calls with a CALLERROR."""
        self.leave_unanswered()
        self._to_send.append(Written(frames.encode_error(call.id, code, description), call.action))

    def leave_unanswered(self) -> None:
        """One of their calls gets no answer: the socket is about to be closed."""
        assert self.calls_unanswered > 0, "an answer without a call"
        self.calls_unanswered -= 1

    # --- ours ---

    def call(self, action: str, payload: dict[str, Any], *, timeout_s: float, now: float) -> int:
        """Ask something; the ticket names the call in events.

        It waits at most `timeout_s` for its turn and then `timeout_s` for the answer.

        Raises:
            TooManyCalls: as many calls as allowed wait already.
        """
        self.tick(now)
        if len(self._waiting) >= self._calls_waiting_max:
            raise TooManyCalls(f"{len(self._waiting)} calls wait for an answer of this charge point")
        self._tickets += 1
        self._waiting.append(_OwnCall(self._tickets, self._new_id(), action, payload, timeout_s, now + timeout_s))
        self._send_next(now)
        return self._tickets

    def waits(self, ticket: int) -> bool:
        """Whether it has not been sent yet."""
        return any(call.ticket == ticket for call in self._waiting)

    def dispute(self, answered: Answered, code: str, description: str) -> None:
        """Say that an answer could not be used, where the version has a word for that (2.1)."""
        if self._has_sends:
            text = frames.encode_result_error(answered.id, code, description)
            self._to_send.append(Written(text, answered.action))

    def withdraw(self, ticket: int) -> None:
        """Nobody waits for `ticket` any more. If it was sent it keeps its slot until its answer or deadline."""
        self._waiting = [call for call in self._waiting if call.ticket != ticket]

    @property
    def deadline(self) -> float | None:
        """When `tick` has something to do, if nothing else happens."""
        deadlines = [call.deadline for call in self._waiting]
        if self._in_flight is not None:
            deadlines.append(self._in_flight.deadline)
        return min(deadlines, default=None)

    @property
    def call_in_flight(self) -> bool:
        """A call of ours is unanswered and has not timed out."""
        return self._in_flight is not None

    def tick(self, now: float) -> None:
        """Let time pass: calls whose deadline is over have timed out, and free the slot."""
        if self._in_flight is not None and self._in_flight.deadline <= now:
            call, self._in_flight = self._in_flight, None
            self._forgotten = [*self._forgotten, call.id][-FORGOTTEN_MAX:]
            self._events.append(TimedOut(call.ticket, sent=True))
        for call in [call for call in self._waiting if call.deadline <= now]:
            self._waiting.remove(call)
            self._events.append(TimedOut(call.ticket, sent=False))
        self._send_next(now)

    def _send_next(self, now: float) -> None:
        if self._in_flight is not None or not self._waiting:
            return
        call = self._waiting.pop(0)
        call.deadline = now + call.timeout_s
        self._in_flight = call
        self._to_send.append(Written(frames.encode_call(call.id, call.action, call.payload), call.action))

    def _match(self, frame: frames.CallResult | frames.CallError, *, now: float) -> None:
        self.tick(now)
        call = self._in_flight
        if call is None or call.id != frame.id:
            self._drop(frame.id)
            return
        self._in_flight = None
        match frame:
            case frames.CallResult():
                self._events.append(Answered(call.ticket, call.action, frame.payload, call.id))
            case frames.CallError():
                self._events.append(Refused(call.ticket, call.action, frame.code, frame.description))
        self._send_next(now)

    def _drop(self, message_id: str) -> None:
        """Counted, not kept: 20,000 of these cost no memory."""
        late = message_id in self._forgotten
        if late:
            self._forgotten.remove(message_id)
            self.answers_late += 1
        else:
            self.answers_unknown += 1
        self._events.append(AnswerDropped(late))
