"""Our own calls to one charge point: who waits for which answer. The rules of one-at-a-time are the conversation's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import structlog

from csms.gateway.handshake import shown
from csms.protocol.blocks.customer_information import CustomerInformation
from csms.protocol.blocks.displays import GetDisplayMessages
from csms.protocol.blocks.firmware import (
    ExtendedTriggerMessage,
    GetDiagnostics,
    GetLog,
    PublishFirmware,
    UpdateFirmware,
    sent_for,
)
from csms.protocol.blocks.monitoring import GetMonitoringReport, GetReport
from csms.protocol.blocks.smart_charging import GetChargingProfiles
from csms.protocol.conversation import Answered, Conversation, Refused, TimedOut, TooManyCalls
from csms.protocol.frames import encode_call
from csms.protocol.outcomes import INVALID_ANSWER
from csms.protocol.redaction import REDACTED, redacted, without_secrets
from csms.protocol.translator import Translator
from csms.protocol.validation import Fault, refusal, refuse, violations
from csms.protocol.vocabulary import Command, GetFullReport, Outcome, TriggerMessage

NOT_SUPPORTED_CODES = frozenset({"NotImplemented", "NotSupported"})
LOST = Outcome(
    accepted=False, status="timeout", detail="the socket closed before the answer: whether it was done is not known"
)
UNSENT = Outcome(accepted=False, status="offline", detail="the socket closed before it was sent", unsent=True)

TOLD_AFTER: Mapping[type[Command], frozenset[str]] = {
    CustomerInformation: frozenset({"NotifyCustomerInformation"}),
    GetChargingProfiles: frozenset({"ReportChargingProfiles"}),
    GetDiagnostics: frozenset({"DiagnosticsStatusNotification"}),
    GetDisplayMessages: frozenset({"NotifyDisplayMessages"}),
    GetFullReport: frozenset({"NotifyReport"}),
    GetLog: frozenset({"LogStatusNotification"}),
    GetMonitoringReport: frozenset({"NotifyMonitoringReport"}),
    GetReport: frozenset({"NotifyReport"}),
    PublishFirmware: frozenset({"PublishFirmwareStatusNotification"}),
    UpdateFirmware: sent_for("FirmwareStatusNotification"),
}
"""What a charge point sends because it was asked to, so that it may while it is Pending (OCPP 2.0.1 B02.FR.02)."""

log = structlog.get_logger()

Happened = Answered | Refused | TimedOut


@dataclass(frozen=True, slots=True)
class _Lost:
    """The socket closed first."""

    sent: bool


class Calls:
    """`flush` writes what the conversation wants written; `now` is the clock of the conversation.

    `triggered` are actions that the charge point may send before it is accepted, because we asked for them.
    """

    def __init__(
        self,
        conversation: Conversation,
        *,
        flush: Callable[[], Awaitable[None]],
        first_call_delay_s: float,
        now: Callable[[], float],
    ) -> None:
        self._conversation = conversation
        self._flush = flush
        self._now = now
        self._hold_until = now() + first_call_delay_s
        self._held: asyncio.Event | None = None
        self._answers: dict[int, asyncio.Future[Happened | _Lost]] = {}
        self._is_lost = False
        self.triggered: frozenset[str] = frozenset()

    def boot_answered(self) -> None:
        """Calls need not be held any longer."""
        self._hold_until = self._now()
        if self._held is not None:
            self._held.set()

    def happened(self, event: Happened) -> None:
        """One of our calls is over."""
        future = self._answers.pop(event.ticket, None)
        if future is not None and not future.done():
            future.set_result(event)

    def lost(self) -> None:
        """The socket is gone: nobody will be answered."""
        self._is_lost = True
        if self._held is not None:
            self._held.set()
        for ticket, future in self._answers.items():
            if not future.done():
                future.set_result(_Lost(sent=not self._conversation.waits(ticket)))
        self._answers.clear()
        self._flush = _write_nothing  # who gave us the other one has us: the collector is seldom

    async def command(self, translator: Translator, command: Command, timeout_s: float) -> Outcome:
        """Call, and say what the charge point made of it."""
        written = translator.command(command)
        if written is None:
            detail = f"{translator.protocol} has no message for {type(command).__name__}"
            return Outcome(accepted=False, status="not_supported", detail=detail)
        await self._hold(timeout_s)
        if self._is_lost:
            return UNSENT
        self._expect_trigger(command)
        try:
            event = await self._call(*written, timeout_s)
        except TooManyCalls as refused:
            return Outcome(accepted=False, status="timeout", detail=str(refused))
        if isinstance(event, Refused) and _has_secrets(*written):
            event = replace(event, description=REDACTED)  # it may quote what we sent
        outcome = self._outcome(translator, command, event)
        if isinstance(event, Answered) and outcome.status == INVALID_ANSWER:
            await self._dispute(translator, event)
        return outcome

    async def _dispute(self, translator: Translator, event: Answered) -> None:
        """OCPP 2.1 Part 4 section 4.2: who cannot use a result says so."""
        found = violations(translator.protocol, event.action, event.payload, response=True)
        problem = (
            refusal(translator.protocol, found)
            if found
            else refuse(translator.protocol, Fault.PROPERTY, "it does not say what was asked for")
        )
        self._conversation.dispute(event, problem.code, problem.description)
        await self._flush()

    async def _hold(self, timeout_s: float) -> None:
        """Wallbox models loop when called before their boot is answered; one that never boots is called a bit later."""
        wait_s = min(self._hold_until - self._now(), timeout_s)
        if wait_s <= 0 or self._is_lost:
            return
        self._held = self._held or asyncio.Event()
        try:
            async with asyncio.timeout(wait_s):
                await self._held.wait()
        except TimeoutError:
            pass

    def _expect_trigger(self, command: Command) -> None:
        match command:
            case TriggerMessage() | ExtendedTriggerMessage():
                self.triggered |= sent_for(command.message)
            case _:
                self.triggered |= TOLD_AFTER.get(type(command), frozenset())

    async def _call(self, action: str, payload: dict[str, object], timeout_s: float) -> Happened | _Lost:
        """What became of it. Each waiter drives the conversation's clock, for itself and the others."""
        ticket = self._conversation.call(action, payload, timeout_s=timeout_s, now=self._now())
        future: asyncio.Future[Happened | _Lost] = asyncio.get_running_loop().create_future()
        self._answers[ticket] = future
        try:
            await self._pass_on()
            while not future.done():
                deadline = self._conversation.deadline
                wait_s = None if deadline is None else max(0.0, deadline - self._now())
                await asyncio.wait((future,), timeout=wait_s)
                self._conversation.tick(self._now())
                await self._pass_on()
            return future.result()
        finally:
            self._answers.pop(ticket, None)
            self._conversation.withdraw(ticket)

    async def _pass_on(self) -> None:
        for event in self._conversation.events():
            assert isinstance(event, TimedOut), "frames are received by the reader, which takes its events at once"
            self.happened(event)
        await self._flush()

    def _outcome(self, translator: Translator, command: Command, event: Happened | _Lost) -> Outcome:
        match event:
            case _Lost(sent=sent):
                return LOST if sent else UNSENT
            case TimedOut(sent=True):
                return Outcome(accepted=False, status="timeout", detail="no answer in time")
            case TimedOut():
                return Outcome(accepted=False, status="timeout", detail="not sent: an earlier call was not answered")
            case Refused(code=code) if code in NOT_SUPPORTED_CODES:
                return Outcome(accepted=False, status="not_supported", detail=code)
            case Refused(code=code, description=description):
                return Outcome(
                    accepted=False, status="call_error", detail=shown(without_secrets(f"{code}: {description}"))
                )
            case Answered(payload=payload):
                return translator.outcome(command, payload)


async def _write_nothing() -> None:
    """There is no socket."""


def _has_secrets(action: str, payload: dict[str, object]) -> bool:
    """Whether a call must not be kept as it goes out."""
    text = encode_call("", action, payload)
    return redacted(text) != text
