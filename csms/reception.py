"""Every fact that comes in through the gateway, brought to the room that it concerns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, get_args
from uuid import UUID

import asyncpg
import structlog

from csms.certificates.worker import Certificates
from csms.charge_points import service as charge_points
from csms.charge_points.charge_point import ChargePoint
from csms.charge_points.service import Boot
from csms.comings import Comings
from csms.cost_display.offers import Offers
from csms.cost_display.user_prices import ANSWERED_BY, UserPrices
from csms.customer_information import service as customers
from csms.database.errors import DatabaseUnavailable
from csms.database.group_commit import GroupCommit
from csms.database.pool import in_transaction, is_unavailable
from csms.displays import service as displays
from csms.gateway.admission import Admission
from csms.gateway.application import SocketInfo
from csms.gateway.client_certificate import CertificateRecord
from csms.intake import metrics as intake
from csms.intake.arrival import Arrival
from csms.intake.frames import FrameLog
from csms.intake.identity import tells_driver
from csms.intake.repeats import ANSWER_PAUSE_S, StatusRepeats
from csms.monitoring import service as monitoring
from csms.nodes.service import Node, SocketEnd
from csms.protocol.blocks.certificate_facts import (
    CertificateFact,
    CertificateRequested,
    CertificateStatusAsked,
    EvCertificateAsked,
)
from csms.protocol.blocks.charging_profile import SmartChargingFact
from csms.protocol.blocks.customer_facts import CustomerInformationReported
from csms.protocol.blocks.display_facts import DisplayMessagesReported
from csms.protocol.blocks.firmware_facts import PublishStatusReported
from csms.protocol.blocks.monitoring_facts import MonitoringFact
from csms.protocol.blocks.reservation_facts import ReservationReported
from csms.protocol.vocabulary import (
    Acknowledged,
    BootAnswer,
    Booted,
    ChargingAnswer,
    ChargingEvent,
    Decision,
    EventKind,
    Fact,
    FirmwareStatusReported,
    HeartbeatReceived,
    LogStatusReported,
    Protocol,
    ReadingsReported,
    Registration,
    SecurityEventReported,
    SettingsReported,
    StatusReported,
    TimeAnswer,
    TokenAnswer,
    TokenPresented,
    TokenStatus,
    VendorDataAnswer,
    VendorDataReceived,
)
from csms.quirks.log import QuirkLog
from csms.reservations import service as reservations
from csms.security.event import OwnKind
from csms.security.service import SecurityLog
from csms.settings import Settings
from csms.smart_charging import service as smart_charging
from csms.tokens.credit import Presented, heeding_credit
from csms.tokens.service import tokens_at
from csms.tokens.token import verdict

log = structlog.get_logger()

ADMISSION_PATIENCE_S = 10.0
FOLLOW_UP_PAUSE_S = 5.0
STARTED_NOW = timedelta(minutes=5)
"""A 1.6 start that is stamped earlier was queued: whoever it was has read the price, or has gone."""
FIRST_CONTACT_INTERVAL_S = 60
"""How soon a charge point that is Pending or Rejected asks again."""

ToldFact = (
    SmartChargingFact | MonitoringFact | ReservationReported | DisplayMessagesReported | CustomerInformationReported
)
"""Facts that move no session: each is committed by its room."""
Recorder = Callable[..., Awaitable[Decision]]
"""Takes a connection, the charge point, the fact, and `at`, when it came."""
RECORDERS: Mapping[type[ToldFact], Recorder] = {
    **dict.fromkeys(get_args(SmartChargingFact), smart_charging.record),
    **dict.fromkeys(get_args(MonitoringFact), monitoring.record),
    ReservationReported: reservations.record,
    DisplayMessagesReported: displays.record,
    CustomerInformationReported: customers.record,
}


class Reception:
    """The gateway's application: answers what needs no memory, and has everything else committed first."""

    def __init__(
        self,
        settings: Settings,
        pool: asyncpg.Pool[Any],
        node: Node,
        writer: GroupCommit[Arrival, Decision],
        frames: FrameLog,
        *,
        security: SecurityLog,
        certificates: Certificates,
        quirks: QuirkLog,
        accepted: Callable[[SocketInfo], Awaitable[None]],
        final_cost: Callable[[str, ChargingEvent], Awaitable[Decimal | None]],
        offers: Offers | None,
        user_prices: UserPrices | None,
    ) -> None:
        """`accepted` is started after each accepted boot (metering template); `final_cost` bills an ended one.

        `offers`, `user_prices`: where drivers are told prices.
        """
        self._settings = settings
        self._pool = pool
        self._writer = writer
        self._frames = frames
        self._security = security
        self._certificates = certificates
        self._quirks = quirks
        self._accepted = accepted
        self._final_cost = final_cost
        self._offers = offers
        self._user_prices = user_prices
        self._changed: Callable[[str], None] = lambda _charge_point: None
        self._set_up: set[str] = set()
        self._repeats = StatusRepeats()
        # Not all of the pool together: facts that are to be stored wait behind a few of those who come at most.
        half = max(1, settings.database_pool_size // 2)
        self._admission = Admission(self._find_all, patience_s=ADMISSION_PATIENCE_S)
        self._comings = Comings(pool, node, at_once=max(1, half - 1), patience_s=settings.database_patience_s)
        self._follow_ups: asyncio.Queue[SocketInfo] = asyncio.Queue(maxsize=10_000)

    def attach(self, *, changed: Callable[[str], None]) -> None:
        """`changed` is told of charge points of which a start, a stop, a status, a boot or another socket is committed."""
        self._changed = changed

    async def run(self) -> None:
        """Book those who come, and set up charge points after their boots, one after the other per worker."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._comings.run())
            tasks.create_task(self._admission.run())
            for _ in range(16):
                tasks.create_task(self._follow_up())

    async def _follow_up(self) -> None:
        while True:
            socket = await self._follow_ups.get()
            try:
                await self._accepted(socket)
            except Exception as error:
                if not isinstance(_as_unavailable(error), DatabaseUnavailable):
                    log.exception("follow_up_failed", charge_point=socket.charge_point.id)
                    continue
                log.warning("follow_up_postponed", charge_point=socket.charge_point.id, error=str(error))
                await asyncio.sleep(FOLLOW_UP_PAUSE_S)
                if not self._follow_ups.full():
                    self._follow_ups.put_nowait(socket)

    async def find(self, identity: str) -> ChargePoint | None:
        try:
            return await self._admission.find(identity)
        except Exception as error:
            raise _as_unavailable(error) from error

    async def _find_all(self, identities: Sequence[str]) -> Mapping[str, ChargePoint]:
        async with self._pool.acquire() as connection:
            return await charge_points.find_all(connection, identities)

    async def on_record(self, issuer: bytes, number: int) -> CertificateRecord | None:
        try:
            return await self._certificates.on_record(issuer, number)
        except Exception as error:
            raise _as_unavailable(error) from error

    async def receive(self, socket: SocketInfo, fact: Fact, frame: str) -> Decision:  # noqa: PLR0911 - one for each kind of fact
        now = datetime.now(UTC)
        match fact:
            case HeartbeatReceived():
                return TimeAnswer(now=now)
            case Booted():
                return await self._boot(socket, fact, now)
            case TokenPresented():
                return await self._authorise(socket, fact, now)
            case VendorDataReceived():
                await self._write(socket, fact, frame, now)
                return VendorDataAnswer()
            case ChargingEvent():
                await self._know_price(socket, fact, now)
                answer = await self._write(socket, fact, frame, now)
                return await self._with_final_cost(socket, fact, answer)
            case StatusReported():
                return await self._note_status(socket, fact, frame, now)
            case (
                ReadingsReported()
                | SecurityEventReported()
                | FirmwareStatusReported()
                | LogStatusReported()
                | PublishStatusReported()
                | SettingsReported()
            ):
                return await self._write(socket, fact, frame, now)
            case CertificateRequested() | EvCertificateAsked() | CertificateStatusAsked():
                return await self._certify(socket, fact, now)
            case _:
                return await self._tell(socket, fact, now)

    async def _certify(self, socket: SocketInfo, fact: CertificateFact, now: datetime) -> Decision:
        try:
            return await self._certificates.receive(socket.charge_point.id, fact, socket.protocol, now)
        except Exception as error:
            raise _as_unavailable(error) from error

    async def _with_final_cost(self, socket: SocketInfo, event: ChargingEvent, answer: Decision) -> Decision:
        """The answer to a 2.x end with its cost, if that is known within the budget; else the display gets it later."""
        if event.kind is not EventKind.ENDED or event.seq_no is None or not isinstance(answer, ChargingAnswer):
            return answer
        if answer.total_cost is not None:
            return answer
        cost = await self._final_cost(socket.charge_point.id, event)
        return answer if cost is None else replace(answer, total_cost=cost)

    async def _write(self, socket: SocketInfo, fact: Any, frame: str, now: datetime) -> Decision:
        answer = await self._writer.submit(
            Arrival(
                charge_point=socket.charge_point.id,
                fact=fact,
                frame=frame,
                socket=UUID(socket.id),
                received_at=now,
            )
        )
        if isinstance(fact, ChargingEvent | StatusReported):
            self._changed(socket.charge_point.id)
        return answer

    async def _note_status(self, socket: SocketInfo, status: StatusReported, frame: str, now: datetime) -> Decision:
        if self._repeats.holds(UUID(socket.id), status, at=now):
            intake.status_repeats.inc()
            await asyncio.sleep(ANSWER_PAUSE_S)
            return Acknowledged()
        answer = await self._write(socket, status, frame, now)
        self._repeats.stored(UUID(socket.id), status, at=now)
        return answer

    async def _tell(self, socket: SocketInfo, fact: ToldFact, now: datetime) -> Decision:
        """The room that keeps such facts answers them, once it has committed them."""
        try:
            return await in_transaction(
                self._pool, lambda connection: RECORDERS[type(fact)](connection, socket.charge_point.id, fact, at=now)
            )
        except Exception as error:
            raise _as_unavailable(error) from error

    async def _boot(self, socket: SocketInfo, boot: Booted, now: datetime) -> Decision:
        try:
            known = await self._comings.booted(Boot(charge_point=socket.charge_point.id, told=boot, at=now))
        except Exception as error:
            raise _as_unavailable(error) from error
        self._changed(socket.charge_point.id)
        accepted = known.registration is Registration.ACCEPTED
        if accepted and known.template and socket.id not in self._set_up and not self._follow_ups.full():
            self._set_up.add(socket.id)  # a charge point that boots again and again is set up once a socket
            self._follow_ups.put_nowait(socket)
        interval_s = self._settings.heartbeat_interval_s if accepted else FIRST_CONTACT_INTERVAL_S
        return BootAnswer(registration=known.registration, now=now, interval_s=interval_s)

    async def _authorise(self, socket: SocketInfo, presented: TokenPresented, now: datetime) -> Decision:
        charge_point = socket.charge_point.id
        try:
            async with self._pool.acquire() as connection:
                [token] = (await tokens_at(connection, [(presented.token, now)])).values()
                known = Presented(token=presented.token, charge_point=charge_point, verdict=verdict(token, at=now))
                [decided] = await heeding_credit(connection, [known], at=now)
        except Exception as error:
            raise _as_unavailable(error) from error
        if decided.status is not TokenStatus.ACCEPTED:
            return TokenAnswer(verdict=decided)
        if socket.protocol is Protocol.V16:
            if self._user_prices is not None:
                self._user_prices.presented(socket.id, charge_point, presented.token)
        elif self._offers is not None:
            await self._offers.prepare(charge_point)
            return TokenAnswer(verdict=decided, message=self._offers.message(charge_point, token, now))
        return TokenAnswer(verdict=decided)

    async def _know_price(self, socket: SocketInfo, event: ChargingEvent, now: datetime) -> None:
        """Before a session's start is written: have at hand what its driver is told."""
        if socket.protocol is Protocol.V16:
            is_new = event.kind is EventKind.STARTED and abs(now - event.at) <= STARTED_NOW
            if self._user_prices is not None and is_new and event.token is not None:
                self._user_prices.started(socket.id, socket.charge_point.id, event.token)
        elif self._offers is not None and tells_driver(event):
            await self._offers.prepare(socket.charge_point.id)

    async def opened(self, socket: SocketInfo) -> None:
        try:
            await self._comings.came(socket)
        except Exception as error:
            raise _as_unavailable(error) from error
        self._changed(socket.charge_point.id)

    async def closed(self, socket: SocketInfo, code: int, reason: str) -> None:
        self._set_up.discard(socket.id)
        self._repeats.closed(UUID(socket.id))
        if self._user_prices is not None:
            self._user_prices.closed(socket.id)
        try:
            end = SocketEnd(socket=socket.id, at=datetime.now(UTC), code=code, reason=reason)
            await self._comings.went(socket.charge_point.id, end)
        except Exception as error:
            if not isinstance(_as_unavailable(error), DatabaseUnavailable):
                raise
            # The books are put right by the next node's start or beat.
            log.warning("socket_close_not_booked", charge_point=socket.charge_point.id, error=str(error))
        self._changed(socket.charge_point.id)

    def observed(self, socket: SocketInfo, direction: Literal["in", "out"], frame: str, action: str | None) -> None:
        self._frames.observe(socket, direction, frame, action)
        if direction == "out" and action in ANSWERED_BY and self._user_prices is not None:
            self._user_prices.answered(socket.id)

    def noticed(self, kind: OwnKind, *, charge_point: str = "", remote: str = "", info: str = "") -> None:
        self._security.note(kind, charge_point=charge_point, remote=remote, info=info)

    def deviated(self, charge_point: ChargePoint, names: Iterable[str], *, action: str | None, frame: str) -> None:
        self._quirks.note(charge_point, names, action=action, frame=frame)

    def unheard(self, remote: str, why: str) -> None:
        self._quirks.note_address(remote, why)

    async def quarantined(self, socket: SocketInfo, frame: str, reason: str) -> None:
        try:
            await self._frames.quarantine(socket, frame, reason)
        except Exception as error:
            raise _as_unavailable(error) from error


def _as_unavailable(error: Exception) -> Exception:
    """Trouble of the database by the name that the gateway knows; anything else as it is."""
    if isinstance(error, DatabaseUnavailable) or not is_unavailable(error):
        return error
    return DatabaseUnavailable(f"the database does not answer: {error or type(error).__name__}")
