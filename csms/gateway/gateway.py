"""All charge points that are connected to this process: opens, replaces, commands and drains their sockets.

The registry is of this process; which node holds which charge point is the application's to know (`opened`, `closed`).
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import structlog
from websockets.frames import CloseCode

from csms.charge_points.charge_point import ChargePoint
from csms.database.errors import DatabaseUnavailable
from csms.gateway import metrics
from csms.gateway.application import Application, DatabaseHealth, SocketInfo
from csms.gateway.client_certificate import ClientCertificate
from csms.gateway.connection import Connection
from csms.gateway.habits import first_call_delay_s
from csms.gateway.handshake import ending_reason
from csms.gateway.listener import Listener
from csms.gateway.reconnects import Alarm, Reconnects
from csms.gateway.throttle import network
from csms.gateway.websocket import ChargePointSocket
from csms.protocol.quirks import Seen
from csms.protocol.translator import Translator, translator
from csms.protocol.vocabulary import Command, Outcome, Protocol
from csms.security.event import OwnKind
from csms.settings import Settings

FIRST_CALL_DELAY_S = 5.0
"""How long calls wait for a boot on a fresh socket; most charge points never boot on a mere reconnect."""
HEALTH_INTERVAL_S = 0.2
BROKEN_CODES = frozenset({CloseCode.PROTOCOL_ERROR, CloseCode.INVALID_DATA})

ALARMS = {Alarm.REPLACED_OFTEN: OwnKind.REPLACED_OFTEN, Alarm.RECONNECTS_OFTEN: OwnKind.RECONNECTS_OFTEN}

OFFLINE = Outcome(accepted=False, status="offline", detail="no socket of this charge point here", unsent=True)

log = structlog.get_logger()


class Gateway:
    """`run()` serves until `drain()` is done, or until cancelled; `started()` tells the port."""

    def __init__(
        self,
        settings: Settings,
        application: Application,
        password_key: bytes,
        health: DatabaseHealth,
        *,
        translators: Callable[[Protocol], Translator] = translator,
        first_call_delay_s: float = FIRST_CALL_DELAY_S,
    ) -> None:
        self._settings = settings
        self._application = application
        self._health = health
        self._translators = translators
        self._first_call_delay_s = first_call_delay_s
        self._listener = Listener(
            settings, application, password_key=password_key, health=health, serve_socket=self._serve
        )
        self._connections: dict[str, Connection] = {}
        self._all: set[Connection] = set()
        self._reconnects = Reconnects()
        self._tasks = asyncio.TaskGroup()
        self._is_started = asyncio.Event()
        self._is_drained = asyncio.Event()

    # --- life ---

    async def run(self) -> None:
        """Listen and serve."""
        try:
            await self._listener.start()
            async with self._tasks:
                self._is_started.set()
                watch = self._tasks.create_task(self._watch_health())
                await self._is_drained.wait()
                watch.cancel()
        finally:
            self._listener.stop_accepting()
            await self._close_all(CloseCode.SERVICE_RESTART, "restart")
            await self._listener.wait_closed()

    async def started(self) -> int:
        """The port, as soon as sockets are accepted."""
        await self._is_started.wait()
        return self._listener.port

    async def drain(self) -> None:
        """Take no new sockets and no new calls, finish those in flight, close with 1012; `run()` returns then."""
        self._listener.stop_accepting()
        within_s = self._settings.drain_timeout_s
        async with asyncio.TaskGroup() as tasks:
            for connection in list(self._all):
                tasks.create_task(connection.finish(CloseCode.SERVICE_RESTART, "restart", within_s))
        self._is_drained.set()

    # --- what others ask ---

    def connected(self) -> Mapping[str, SocketInfo]:
        """The live socket of each charge point, by charge point id."""
        return {charge_point: connection.socket for charge_point, connection in self._connections.items()}

    def holds(self, charge_point: str) -> bool:
        """Whether its live socket is here."""
        return charge_point in self._connections

    async def command(self, charge_point: str, command: Command, timeout_s: float | None = None) -> Outcome:
        """Ask a charge point that is connected here; commands to one charge point go one after the other."""
        connection = self._connections.get(charge_point)
        if connection is None:
            return OFFLINE
        return await connection.command(command, self._settings.call_timeout_s if timeout_s is None else timeout_s)

    def reload_certificates(self) -> None:
        """Read the files of TLS again, as SIGHUP does; nothing where TLS is off or not on yet."""
        if self._listener.tls_port is not None:
            self._listener.reload_certificates()

    async def disconnect(self, charge_point: str, code: int, reason: str) -> None:
        """Close its socket, if there is one."""
        connection = self._connections.get(charge_point)
        if connection is not None:
            await connection.close(code, reason)

    def update(self, charge_point: ChargePoint) -> None:
        """The operator changed this charge point, or revoked a certificate of it.

        Its open socket goes on with the new record; where what it showed when it came would not do any more, it ends.
        """
        connection = self._connections.get(charge_point.id)
        if connection is None:
            return
        why = ending_reason(connection.admitted, connection.socket.charge_point, charge_point)
        connection.update(charge_point)
        if why is not None:
            self._tasks.create_task(self._end(connection, why))
        elif connection.admitted.certificate is not None:
            self._tasks.create_task(self._look_up(connection, connection.admitted.certificate))

    async def _look_up(self, connection: Connection, certificate: ClientCertificate) -> None:
        """End a socket whose certificate is revoked."""
        try:
            record = await self._application.on_record(certificate.issuer, certificate.number)
        except DatabaseUnavailable as failure:  # sockets are closed then, if it lasts
            log.warning("certificate_not_looked_up", charge_point=connection.socket.charge_point.id, error=str(failure))
            return
        if record is not None and record.is_revoked:
            await self._end(connection, "its certificate is revoked")

    async def _end(self, connection: Connection, why: str) -> None:
        log.warning("socket_ended", charge_point=connection.socket.charge_point.id, reason=why)
        await connection.close(CloseCode.POLICY_VIOLATION, why)

    # --- one socket ---

    async def _serve(self, websocket: ChargePointSocket) -> None:
        assert websocket.admitted is not None, "websockets serves only who was admitted"
        known = websocket.admitted.charge_point
        if websocket.peculiarities:
            frame = websocket.note_handshake()
            self._application.deviated(known, websocket.peculiarities, action=None, frame=frame)
        websocket.forget_handshake()
        if websocket.ocpp is None:
            metrics.HANDSHAKES.labels("no_common_subprotocol").inc()
            ours = ", ".join(Protocol)
            await websocket.close_within(
                CloseCode.PROTOCOL_ERROR, f"no common subprotocol, ours are {ours}", self._settings.close_timeout_s
            )
            return
        socket = SocketInfo(
            charge_point=known,
            protocol=websocket.ocpp,
            id=str(uuid.uuid4()),
            remote=websocket.remote,
            opened_at=datetime.now(UTC),
            proof=websocket.admitted.proof,
        )
        connection = Connection(
            websocket,
            socket,
            application=self._application,
            settings=self._settings,
            translator=self._translators(socket.protocol),
            first_call_delay_s=first_call_delay_s(known, self._first_call_delay_s),
        )
        websocket.on_unanswered_ping = lambda: self._note_unanswered_ping(connection)
        try:
            self._register(connection)
            await self._run(connection)
        except Exception:
            log.exception("connection_failed", charge_point=socket.charge_point.id)
        finally:
            await self._unregister(connection, websocket)

    def _note_unanswered_ping(self, connection: Connection) -> None:
        socket = connection.socket
        frame = f"socket from {socket.remote}, open since {socket.opened_at.isoformat()}: frames come, pongs do not"
        self._application.deviated(socket.charge_point, [Seen.PINGS_UNANSWERED], action=None, frame=frame)

    def _register(self, connection: Connection) -> None:
        """A newly authenticated socket takes over; the old one has proved less recently who it is."""
        socket = connection.socket
        charge_point = socket.charge_point.id
        replaced = self._connections.get(charge_point)
        self._connections[charge_point] = connection
        self._all.add(connection)
        metrics.CONNECTIONS.set(len(self._connections))
        metrics.HANDSHAKES.labels("opened").inc()
        log.info("connection_opened", charge_point=charge_point, remote=socket.remote, protocol=str(socket.protocol))
        if replaced is not None:
            metrics.REPLACED.inc()
            log.warning(
                "connection_replaced",
                charge_point=charge_point,
                remote=socket.remote,
                replaced_remote=replaced.socket.remote,
            )
            frame = f"socket from {socket.remote} while one from {replaced.socket.remote} was open"
            self._application.deviated(socket.charge_point, [Seen.SECOND_SOCKET], action=None, frame=frame)
            self._tasks.create_task(replaced.give_way())
        now = asyncio.get_running_loop().time()
        for alarm in self._reconnects.opened(charge_point, replaced=replaced is not None, now=now):
            log.warning(alarm.value, charge_point=charge_point, remote=socket.remote)
            self._application.noticed(ALARMS[alarm], charge_point=charge_point, remote=network(socket.remote))

    async def _run(self, connection: Connection) -> None:
        try:
            await self._application.opened(connection.socket)
        except DatabaseUnavailable as failure:
            await connection.give_up(str(failure))
        except Exception:  # the charge point can be served without anybody being told that it is here
            log.exception("opening_not_noted", charge_point=connection.socket.charge_point.id)
        await connection.run()

    async def _unregister(self, connection: Connection, websocket: ChargePointSocket) -> None:
        """By socket, not by identity: the late end of an old socket leaves the new one alone."""
        socket = connection.socket
        charge_point = socket.charge_point.id
        if self._connections.get(charge_point) is connection:
            del self._connections[charge_point]
        self._all.discard(connection)
        metrics.CONNECTIONS.set(len(self._connections))
        code, reason = connection.closed_with or (websocket.close_code or CloseCode.ABNORMAL_CLOSURE, "")
        log.info("connection_closed", charge_point=charge_point, code=int(code))
        sent = websocket.protocol.close_sent
        if connection.closed_with is None and sent is not None and sent.code in BROKEN_CODES:
            frame = f"closed by us with {int(sent.code)}: {sent.reason}"
            self._application.deviated(socket.charge_point, [Seen.WEBSOCKET_BROKEN], action=None, frame=frame)
        try:
            await self._application.closed(socket, int(code), reason)
        except DatabaseUnavailable:
            log.info("closing_not_noted", charge_point=charge_point)
        except Exception:
            log.exception("closing_not_noted", charge_point=charge_point)

    # --- trouble ---

    async def _watch_health(self) -> None:
        """While nothing can be committed no socket stays open: offline, charge points queue without counting."""
        interval_s = min(HEALTH_INTERVAL_S, self._settings.database_patience_s / 5)
        while True:
            await asyncio.sleep(interval_s)
            if not self._health.available and self._all:
                log.error("sockets_closed", reason="the database is unavailable", count=len(self._all))
                await self._close_all(CloseCode.TRY_AGAIN_LATER, "the database is unavailable")

    async def _close_all(self, code: int, reason: str) -> None:
        async with asyncio.TaskGroup() as tasks:
            for connection in list(self._all):
                tasks.create_task(connection.close(code, reason))
