"""The loop of one socket: frames in, facts to the application, answers out. Decides nothing about what a fact means.

One task reads, so that answers to our own calls are never stuck behind a slow commit; one worker handles calls in the
order in which they came, and exists only while there are any. Whoever sends faster than we commit is not read
(`queue_length_max`); nobody is disconnected for it.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple, assert_never

import structlog
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from csms.charge_points.charge_point import ChargePoint
from csms.database.errors import DatabaseUnavailable
from csms.gateway import metrics
from csms.gateway.application import Application, SocketInfo
from csms.gateway.calls import Calls
from csms.gateway.damper import Damper
from csms.gateway.deviations import Deviations
from csms.gateway.habits import ask_as_wanted
from csms.gateway.handshake import contradicts_certificate, shown
from csms.gateway.throttle import network
from csms.gateway.websocket import ChargePointSocket
from csms.protocol import frames
from csms.protocol.conversation import (
    AnswerDropped,
    Answered,
    CallReceived,
    Conversation,
    Event,
    FrameIgnored,
    Refused,
    ResultDisputed,
    SendReceived,
    TimedOut,
)
from csms.protocol.quirks import Quirk
from csms.protocol.redaction import without_secrets
from csms.protocol.translator import ALLOWED_BEFORE_ACCEPTED, TRANSACTION_ACTIONS, Refusal, Translator
from csms.protocol.unread import answer_unread
from csms.protocol.validation import SENDS, actions
from csms.protocol.vocabulary import (
    BootAnswer,
    Booted,
    Command,
    Outcome,
    Registration,
    ShowCost,
)
from csms.security.event import OwnKind
from csms.settings import Settings

REPLACED_CLOSE_S = 1.0
NOT_ACCEPTED = Refusal(code="SecurityError", description="not accepted yet: only BootNotification is allowed")
INTERNAL = Refusal(code="InternalError", description="the central system failed; it has logged why")

Answer = dict[str, object] | Refusal

log = structlog.get_logger()
_tracebacks = Damper()


class _AnotherSerialNumber(Exception):
    """The certificate is of another charge point than the one that boots."""


class _Waiting(NamedTuple):
    """A call of theirs, read and not yet answered. `read_at` is the loop's clock."""

    frame: frames.Call | frames.Broken
    text: str
    received_at: datetime
    read_at: float


class Connection:
    """One authenticated socket, from its opening until its last call is done."""

    def __init__(
        self,
        websocket: ChargePointSocket,
        socket: SocketInfo,
        *,
        application: Application,
        settings: Settings,
        translator: Translator,
        first_call_delay_s: float,
    ) -> None:
        assert websocket.admitted is not None, "only who was admitted has a connection"
        self.admitted = websocket.admitted
        self.socket = socket
        self.closed_with: tuple[int, str] | None = None
        self._websocket = websocket
        self._application = application
        self._settings = settings
        self._translator = translator
        self._loop = asyncio.get_running_loop()
        self._registration = socket.charge_point.registration
        self._conversation = Conversation(
            new_id=_new_id,
            calls_waiting_max=settings.queue_length_max,
            has_answer=lambda fault: frames.error_code(fault, socket.protocol) is not None,
            has_sends=bool(SENDS[socket.protocol]),
        )
        self._calls = Calls(
            self._conversation, flush=self._flush, first_call_delay_s=first_call_delay_s, now=self._loop.time
        )
        self._deviations = Deviations(application)
        self._waiting: list[_Waiting] = []
        self._tasks = asyncio.TaskGroup()
        self._worker: asyncio.Task[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._idle: asyncio.Future[None] | None = None
        self._deaf = False
        self._limit_message_size()

    # --- for the gateway ---

    async def run(self) -> None:
        """Until the socket is closed and everything that was read from it is handled."""
        async with self._tasks:
            await self._read()
            self._calls.lost()

    async def command(self, command: Command, timeout_s: float) -> Outcome:
        """Ask the charge point to do something; waits at most twice `timeout_s`. Raises CommandInvalid."""
        if self._registration is Registration.REJECTED:  # OCPP 2.0.1 B03.FR.03: neither side sends anything
            return Outcome(accepted=False, status="offline", detail="its registration is Rejected")
        if isinstance(command, ShowCost) and self._worker is not None:
            # Answers carry costs, too: one that is being worked out may name an older bill, and has to leave first.
            await asyncio.wait((self._worker,), timeout=timeout_s)
        return await ask_as_wanted(
            self.socket, command, lambda each: self._calls.command(self._translator, each, timeout_s)
        )

    def update(self, charge_point: ChargePoint) -> None:
        """The operator changed something about it."""
        self.socket = replace(self.socket, charge_point=charge_point)
        self._register(charge_point.registration)

    async def close(self, code: int, reason: str, within_s: float | None = None) -> None:
        """Close the socket; what was read from it is still handled."""
        if self.closed_with is None:
            self.closed_with = (code, reason)
        await self._websocket.close_within(code, reason, within_s or self._settings.close_timeout_s)

    async def give_up(self, why: str) -> None:
        """Nothing can be committed: no answer at all, and no socket on which an answer could be missed.

        Charge points count both as failed attempts and then throw the message away; offline they keep it (1.6 3.7.1,
        OCPP 2.0.1 E13.FR.04).
        """
        log.warning("socket_given_up", charge_point=self.socket.charge_point.id, reason=why)
        self._deaf = True
        for _ in self._waiting:
            self._conversation.leave_unanswered()
        self._waiting.clear()
        await self.close(CloseCode.TRY_AGAIN_LATER, "the database is unavailable")

    async def give_way(self) -> None:
        """Another socket of this charge point has taken over: calls for it go there, this one ends."""
        await self.close(CloseCode.POLICY_VIOLATION, "replaced by a newer connection", REPLACED_CLOSE_S)

    async def finish(self, code: int, reason: str, within_s: float) -> None:
        """Hear no new calls, finish those in flight in both directions, then close."""
        self._deaf = True
        if self._is_busy():
            self._idle = self._loop.create_future()
            await asyncio.wait((self._idle,), timeout=within_s)
        await self.close(code, reason)

    # --- reading ---

    async def _read(self) -> None:
        while True:
            try:
                message = await self._websocket.recv()
            except ConnectionClosed:
                return
            if isinstance(message, bytes):
                await self.close(CloseCode.UNSUPPORTED_DATA, "OCPP-J is text")
                return
            self._receive(message)
            await self._flush()
            if self._conversation.calls_unanswered >= self._settings.queue_length_max:
                self._room = self._loop.create_future()
                await self._room

    def _receive(self, text: str) -> None:
        action: str | None = None
        is_evidence = True
        self._conversation.receive(text, now=self._loop.time())
        events = self._conversation.events()
        if any(isinstance(event, FrameIgnored) for event in events):
            mended = self._deviations.mended_answer(self.socket, text)
            if mended is not None:
                self._conversation.receive(mended, now=self._loop.time())
                events = self._conversation.events()
        for event in events:
            action = self._happened(event) or action
            if isinstance(event, AnswerDropped) and not event.late:
                is_evidence = False  # an answer to nothing says nothing, and may come by the thousand
        if is_evidence:
            self._application.observed(self.socket, "in", text, action)
        self._note_idle()

    def _happened(self, event: Event) -> str | None:
        """Pass an event on; returns the action that the frame was about."""
        match event:
            case CallReceived():
                self._take(event)
                return event.frame.action
            case Answered() | Refused():
                metrics.message(event.action, "out", "answered" if isinstance(event, Answered) else "call_error").inc()
                self._calls.happened(event)
                return event.action
            case TimedOut():
                self._calls.happened(event)
            case AnswerDropped():
                metrics.ANSWERS_DROPPED.labels("late" if event.late else "unknown").inc()
                log.debug("answer_dropped", charge_point=self.socket.charge_point.id, late=event.late)
            case ResultDisputed():
                self._note_dispute(event)
            case SendReceived():
                return self._note_send(event.frame)
            case FrameIgnored():
                metrics.message("other", "in", "ignored").inc()
                log.debug("frame_ignored", charge_point=self.socket.charge_point.id, fault=event.fault.value)
            case _:
                assert_never(event)
        return None

    def _note_dispute(self, event: ResultDisputed) -> None:
        """It goes on without our answer; what it told is kept all the same."""
        metrics.message("other", "in", "disputed").inc()
        log.warning(
            "answer_disputed",
            charge_point=self.socket.charge_point.id,
            message_id=shown(event.id),
            error=shown(without_secrets(f"{event.code}: {event.description}")),
            next_step=f"look at csms cp trace {self.socket.charge_point.id}",
        )

    def _note_send(self, send: frames.Send) -> str:
        """Streams are opened by nobody here, so what comes in one is counted and goes no further."""
        known = send.action if send.action in SENDS[self.socket.protocol] else "other"
        metrics.message(known, "in", "NotSupported").inc()
        log.debug("send_ignored", charge_point=self.socket.charge_point.id, action=shown(send.action))
        return send.action

    def _take(self, event: CallReceived) -> None:
        if self._deaf:  # the socket is about to be closed; unanswered, the charge point sends it again
            self._conversation.leave_unanswered()
            return
        self._waiting.append(_Waiting(event.frame, event.text, datetime.now(UTC), self._loop.time()))
        if self._worker is None or self._worker.done():
            self._worker = self._tasks.create_task(self._work())

    # --- handling, in order ---

    async def _work(self) -> None:
        while self._waiting:
            await self._handle(self._waiting.pop(0))
            if self._room is not None and not self._room.done():
                self._room.set_result(None)
            self._note_idle()
            if self._waiting:  # whoever sends many at once gets an answer in his turn, and the others theirs
                await asyncio.sleep(0)

    async def _handle(self, waiting: _Waiting) -> None:
        try:
            answer = await self._answer(waiting)
        except DatabaseUnavailable as failure:
            self._conversation.leave_unanswered()
            await self.give_up(str(failure))
            return
        except _AnotherSerialNumber:
            await self._turn_away()
            return
        call = waiting.frame
        if isinstance(answer, Refusal):
            self._conversation.refuse(call, answer.code, answer.description)
        else:
            self._conversation.answer(call, answer)
        await self._flush()
        if call.action in ALLOWED_BEFORE_ACCEPTED:
            self._calls.boot_answered()
        known = call.action if call.action in actions(self.socket.protocol) else None
        result = answer.code if isinstance(answer, Refusal) else "answered"
        metrics.message(known or "other", "in", result).inc()
        metrics.ANSWER_SECONDS.observe(self._loop.time() - waiting.read_at)

    async def _answer(self, waiting: _Waiting) -> Answer:
        """What to answer; a failure of ours never becomes a CALLERROR of a transaction message, nor silence.

        Raises:
            DatabaseUnavailable: nothing may be answered.
            _AnotherSerialNumber: nothing may be answered, and the socket ends.
        """
        frame = waiting.frame
        if not self._may_send(frame.action):
            return NOT_ACCEPTED
        try:
            if isinstance(frame, frames.Call):
                return await self._decide(frame.action, frame.payload, waiting)
            return await self._answer_broken(frame, waiting)
        except (DatabaseUnavailable, _AnotherSerialNumber):
            raise
        except OSError as trouble:  # such as no more files: it passes, and the charge point sends it again
            raise DatabaseUnavailable(f"this machine cannot read it now: {trouble}") from trouble
        except Exception as failure:  # noqa: BLE001 - the socket and its other messages must survive any bug of ours
            self._log_failure(frame.action, failure)
            if frame.action is None or frame.action not in TRANSACTION_ACTIONS:
                return INTERNAL
            return await self._quarantine(frame.action, waiting, f"{type(failure).__name__}: {failure}")

    async def _decide(self, action: str, payload: Any, waiting: _Waiting) -> Answer:
        noted: set[str] = set()
        fact = self._translator.read(
            action, payload, charge_point=self.socket.charge_point, received_at=waiting.received_at, noted=noted
        )
        if noted:
            self._deviations.note(self.socket, noted, action, waiting.text)
        if isinstance(fact, Refusal):
            await self._deviations.keep_refused(self.socket, waiting.frame, waiting.text, fact)
            return fact
        if isinstance(fact, Booted):
            self._require_serial_number_of_certificate(fact.serial)
            self._know(fact)
        decision = await self._application.receive(self.socket, fact, waiting.text)
        if isinstance(decision, BootAnswer):
            self._register(decision.registration)
        return self._translator.answer(action, decision, fact=fact)

    async def _answer_broken(self, broken: frames.Broken, waiting: _Waiting) -> Answer:
        """A frame that is no message: a transaction message is kept all the same (RULES.md 7), others are refused."""
        action, charge_point = broken.action, self.socket.charge_point
        is_refused = charge_point.strict or Quirk.NOT_JSON in charge_point.switched_off
        if broken.fault is frames.Fault.NOT_RPC:
            self._deviations.note(self.socket, [Quirk.NOT_JSON], action, waiting.text)
        if action is None or action not in TRANSACTION_ACTIONS or is_refused:
            payload = self._deviations.mended_call(self.socket, broken, waiting.text)
            if action is not None and action not in TRANSACTION_ACTIONS and payload is not None:
                return await self._decide(action, payload, waiting)
            code = frames.error_code(broken.fault, self.socket.protocol)
            assert code is not None, "a fault without code is ignored by the conversation"
            refusal = Refusal(code=code, description=broken.fault.value)
            await self._deviations.keep_refused(self.socket, broken, waiting.text, refusal)
            return refusal
        if broken.fault is frames.Fault.FORMATION:
            return await self._decide(action, broken.payload, waiting)
        fact = self._translator.read_broken(
            action, waiting.text, charge_point=charge_point, received_at=waiting.received_at
        )
        if fact is None:
            return await self._quarantine(action, waiting, broken.fault.value)
        decision = await self._application.receive(self.socket, fact, waiting.text)
        return self._translator.answer(action, decision, fact=fact)

    async def _quarantine(self, action: str, waiting: _Waiting, reason: str) -> Answer:
        """Keep the frame and answer as if all were well; somebody will look at it."""
        try:
            await self._application.quarantined(self.socket, waiting.text, reason)
            return self._translator.answer(action, answer_unread(action))
        except DatabaseUnavailable:
            raise
        except Exception as failure:
            self._log_failure(action, failure)
            raise DatabaseUnavailable("a transaction message could not be kept") from failure

    def _log_failure(self, action: str | None, failure: Exception) -> None:
        """Each bug with its traceback once a minute, however often a charge point triggers it."""
        where = failure.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        kind = (
            f"{type(failure).__name__} {where.tb_frame.f_code.co_filename if where else ''}:{where and where.tb_lineno}"
        )
        if (since := _tracebacks.admit(kind, now=self._loop.time())) is not None:
            log.error(
                "message_failed",
                charge_point=self.socket.charge_point.id,
                action=shown(action or ""),
                count=since,
                exc_info=failure,
            )

    def _know(self, boot: Booted) -> None:
        """From now on the charge point is treated as the make that it says it is."""
        known = self.socket.charge_point
        known = replace(known, vendor=boot.vendor, model=boot.model, firmware=boot.firmware)
        self.socket = replace(self.socket, charge_point=known)

    # --- registration ---

    def _require_serial_number_of_certificate(self, serial: str | None) -> None:
        admitted = self.admitted
        registered = self.socket.charge_point.serial_registered
        contradicts = contradicts_certificate(admitted, serial, self.socket.protocol)
        if contradicts or (registered is not None and (serial or "").casefold() != registered.casefold()):
            self._application.noticed(
                OwnKind.SERIAL_CONTRADICTED,
                charge_point=self.socket.charge_point.id,
                remote=network(self.socket.remote),
                info=f"it boots with {shown(serial or 'no serial number')}",
            )
        if not contradicts:
            return
        log.warning(
            "serial_number_is_not_the_certificates",
            charge_point=self.socket.charge_point.id,
            serial=shown(serial or ""),
            certificate_name=shown(admitted.certificate_name or ""),
            next_step="give it a certificate whose CN is its serial number",
        )
        raise _AnotherSerialNumber

    async def _turn_away(self) -> None:
        """B01.FR.12: the socket is closed; nothing that it said counts."""
        self._deaf = True
        self._conversation.leave_unanswered()
        for _ in self._waiting:
            self._conversation.leave_unanswered()
        self._waiting.clear()
        await self.close(CloseCode.POLICY_VIOLATION, "serialNumber is not the certificate's common name")

    def _may_send(self, action: str | None) -> bool:
        """1.6-J errata 3.10, OCPP 2.0.1 B02.FR.09: before Accepted only the boot and what we asked for."""
        if self._registration is Registration.ACCEPTED or action is None:
            return True
        return action in ALLOWED_BEFORE_ACCEPTED or action in self._calls.triggered

    def _register(self, registration: Registration) -> None:
        self._registration = registration
        self._limit_message_size()

    def _limit_message_size(self) -> None:
        accepted = self._registration is Registration.ACCEPTED
        settings = self._settings
        self._websocket.allow_message_bytes(
            settings.message_bytes_max if accepted else settings.message_bytes_max_unaccepted
        )

    # --- writing ---

    async def _flush(self) -> None:
        for text, action in self._conversation.to_send():
            if self._websocket.is_open:
                self._application.observed(self.socket, "out", text, action)
                await self._send(text)

    async def _send(self, text: str) -> None:
        if self._websocket.send_at_once(text):
            return
        try:
            async with asyncio.timeout(self._settings.send_timeout_s):
                await self._websocket.send(text)
        except ConnectionClosed:
            pass  # the reader notices, and the charge point asks again
        except TimeoutError:
            metrics.SEND_TIMEOUTS.inc()
            log.warning("charge_point_does_not_read", charge_point=self.socket.charge_point.id)
            self._websocket.transport.abort()

    # --- draining ---

    def _is_busy(self) -> bool:
        return self._conversation.calls_unanswered > 0 or self._conversation.call_in_flight

    def _note_idle(self) -> None:
        if self._idle is not None and not self._idle.done() and not self._is_busy():
            self._idle.set_result(None)


def _new_id() -> str:
    """Unique for ever, 32 characters: the standard allows 36."""
    return secrets.token_hex(16)
