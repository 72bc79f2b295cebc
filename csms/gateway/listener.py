"""The port that charge points connect to: limits, handshakes and refusals. What is said afterwards is connection.py's."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from csms.charge_points.charge_point import ChargePoint
from csms.database.errors import DatabaseUnavailable
from csms.gateway import metrics
from csms.gateway.application import Application, DatabaseHealth
from csms.gateway.damper import Damper
from csms.gateway.handshake import Admitted, Rejected, admit, choose_subprotocol, identity_of, shown
from csms.gateway.throttle import WINDOW_S, Throttle
from csms.gateway.websocket import ChargePointSocket
from csms.settings import Settings

BACKLOG = 2048  # a whole fleet comes back at once
SEND_BUFFER_BYTES = 64 * 1024  # a charge point that does not read may hold no more of our memory
FRAMES_BUFFERED_MAX = 16  # read from the socket, not yet looked at
OPEN_FILES_SHARE = 0.9
REFUSAL_TIMEOUT_S = 1.0

log = structlog.get_logger()

# websockets logs every connection; what matters of that is logged here, in our own words.
_websockets_log = logging.getLogger("csms.websockets")
_websockets_log.setLevel(logging.ERROR)


def connections_max(settings: Settings) -> int:
    """How many sockets we take: as set, else 90 % of the open files allowed beyond those that we have open already."""
    if settings.connections_max:
        return settings.connections_max
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = Path("/proc/self/fd")
    open_now = sum(1 for _ in files.iterdir()) if files.exists() else 0
    return max(1, int(limit * OPEN_FILES_SHARE) - open_now - settings.database_pool_size)


def remote_of(websocket: ServerConnection) -> str:
    """The peer's address. Headers of proxies are not believed (RULES.md 25)."""
    address = websocket.remote_address
    return str(address[0]) if address else "unknown"


class Listener:
    """Accepts sockets and hands those that passed the handshake to `serve_socket`."""

    def __init__(
        self,
        settings: Settings,
        application: Application,
        *,
        password_key: bytes,
        health: DatabaseHealth,
        serve_socket: Callable[[ChargePointSocket], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._application = application
        self._password_key = password_key
        self._health = health
        self._serve_socket = serve_socket
        self._throttle = Throttle(
            per_identity_max=settings.auth_failures_max_per_identity,
            per_address_max=settings.auth_failures_max_per_address,
        )
        self._damper = Damper()
        self._open = 0
        self._open_max = 0
        self._server: Server | None = None
        self.draining = False
        self.port = 0

    async def start(self) -> None:
        """Listen. `port` is the bound one from here on."""
        self._open_max = connections_max(self._settings)
        listening = self._listening_socket()
        self.port = listening.getsockname()[1]
        self._server = await serve(
            self._serve,
            sock=listening,
            backlog=BACKLOG,
            create_connection=self._connection,  # type: ignore[arg-type]  # any factory of an asyncio protocol will do
            process_request=self._process_request,
            select_subprotocol=self._select_subprotocol,
            extensions=[
                ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)
            ],
            compression=None,
            server_header=None,
            open_timeout=self._settings.open_timeout_s,
            close_timeout=self._settings.close_timeout_s,
            ping_interval=None,
            max_size=self._settings.message_bytes_max_unaccepted,
            max_queue=FRAMES_BUFFERED_MAX,
            logger=_websockets_log,
        )

    def stop_accepting(self) -> None:
        """No new sockets; those that are open stay open."""
        self.draining = True
        if self._server is not None:
            self._server.close(close_connections=False)

    async def wait_closed(self) -> None:
        """Until every socket is closed and its work done."""
        if self._server is not None:
            await self._server.wait_closed()

    def _listening_socket(self) -> socket.socket:
        host, port = self._settings.ocpp_host, self._settings.ocpp_port
        is_ipv6 = ":" in host
        listening = socket.create_server(
            (host, port),
            family=socket.AF_INET6 if is_ipv6 else socket.AF_INET,
            dualstack_ipv6=is_ipv6 and host == "::" and socket.has_dualstack_ipv6(),
            backlog=BACKLOG,
        )
        # Accepted sockets inherit it.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        listening.setblocking(False)
        return listening

    # --- one socket ---

    def _connection(self, protocol: ServerProtocol, server: Server, **options: Any) -> asyncio.Protocol:
        if self._open >= self._open_max:
            self._refused("connections_max", remote="any")
            return _Full(self._settings.retry_after_s)
        self._open += 1
        return ChargePointSocket(
            protocol,
            server,
            ping_interval_s=self._settings.ping_interval_s,
            ping_timeout_s=self._settings.ping_timeout_s,
            on_lost=self._lost,
            **options,
        )

    def _lost(self) -> None:
        self._open -= 1

    async def _serve(self, websocket: ServerConnection) -> None:
        assert isinstance(websocket, ChargePointSocket)
        await self._serve_socket(websocket)

    async def _process_request(self, websocket: ServerConnection, request: Request) -> Response | None:
        """Decide about one handshake; None lets websockets check and complete it."""
        assert isinstance(websocket, ChargePointSocket)
        if "Connection" not in request.headers and "Upgrade" in request.headers:
            request.headers["Connection"] = "Upgrade"  # some stacks forget it, and cannot mean anything else
        if self.draining:
            return self._unavailable(websocket, "draining")
        if not self._health.available:
            return self._unavailable(websocket, "database_unavailable")
        identity = identity_of(request.path)
        if isinstance(identity, Rejected):
            return self._reject(websocket, identity, request.path.partition("?")[0])
        try:
            charge_point = await self._application.find(identity)
        except DatabaseUnavailable:
            return self._unavailable(websocket, "database_unavailable")
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is ours, and the charge point must come back
            self._log_failure(failure, identity)
            return self._unavailable(websocket, "internal")
        return self._admit(websocket, request, identity, charge_point)

    def _admit(
        self, websocket: ChargePointSocket, request: Request, identity: str, charge_point: ChargePoint | None
    ) -> Response | None:
        origin = request.headers.get_all("Origin")
        verdict = admit(
            charge_point,
            authorization=request.headers.get_all("Authorization"),
            origin=origin,
            public_hosts=self._settings.public_hosts,
            password_key=self._password_key,
        )
        if isinstance(verdict, Rejected):
            return self._reject(websocket, verdict, identity)
        for warning in verdict.warnings:
            log.warning(warning, charge_point=verdict.charge_point.id, remote=remote_of(websocket))
        for each in origin:
            log.info("origin_seen", charge_point=verdict.charge_point.id, origin=shown(each))
        websocket.admitted = verdict
        return None

    def _select_subprotocol(self, websocket: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        assert isinstance(websocket, ChargePointSocket)
        assert isinstance(websocket.admitted, Admitted), "the handshake goes on only for who was admitted"
        choice = choose_subprotocol(offered, websocket.admitted.charge_point)
        websocket.ocpp = choice.protocol
        if choice.protocol is None:
            log.warning(
                "no_common_subprotocol",
                charge_point=websocket.admitted.charge_point.id,
                offered=shown(",".join(offered)),
                next_step="the socket is closed; set the charge point to ocpp1.6 or ocpp2.0.1",
            )
        return None if choice.echo is None else Subprotocol(choice.echo)

    # --- refusals ---

    def _reject(self, websocket: ChargePointSocket, rejected: Rejected, identity: str) -> Response:
        remote = remote_of(websocket)
        now = asyncio.get_running_loop().time()
        if rejected.guess and self._throttle.failed(identity, remote, now=now):
            self._refused("too_many_failures", remote=remote)
            response = websocket.respond(HTTPStatus.TOO_MANY_REQUESTS, "too many failed attempts; wait a minute\n")
            response.headers["Retry-After"] = str(int(WINDOW_S))
            return response
        log.warning("handshake_refused", reason=rejected.reason, charge_point=shown(identity), remote=remote)
        metrics.HANDSHAKES.labels(rejected.reason).inc()
        response = websocket.respond(rejected.status, f"{rejected.text}\n")
        if rejected.status is HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = 'Basic realm="csms", charset="UTF-8"'
        return response

    def _unavailable(self, websocket: ChargePointSocket, reason: str) -> Response:
        """Offline, a charge point keeps its messages without counting attempts: this is the safe answer to trouble."""
        self._refused(reason, remote=remote_of(websocket))
        response = websocket.respond(HTTPStatus.SERVICE_UNAVAILABLE, "come back later\n")
        response.headers["Retry-After"] = str(self._settings.retry_after_s)
        return response

    def _refused(self, reason: str, *, remote: str) -> None:
        """Refusals that come by the thousand are counted each, and logged once a minute."""
        metrics.HANDSHAKES.labels(reason).inc()
        if (since := self._damper.admit(reason, now=asyncio.get_running_loop().time())) is not None:
            log.warning("handshakes_refused", reason=reason, remote=remote, count=since)

    def _log_failure(self, failure: Exception, identity: str) -> None:
        if (since := self._damper.admit("failure", now=asyncio.get_running_loop().time())) is not None:
            log.error("handshake_failed", charge_point=shown(identity), count=since, exc_info=failure)


class _Full(asyncio.Protocol):
    """One socket too many: told to come back later, and let go of at once so that its file is free again."""

    def __init__(self, retry_after_s: int) -> None:
        self._answer = (
            f"HTTP/1.1 503 Service Unavailable\r\nRetry-After: {retry_after_s}\r\n"
            "Connection: close\r\nContent-Length: 0\r\n\r\n"
        ).encode()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without inheriting from it
        self._timer = asyncio.get_running_loop().call_later(REFUSAL_TIMEOUT_S, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        del data  # the request does not matter; answering only after it keeps the peer from seeing a reset
        if not self._transport.is_closing():
            self._transport.write(self._answer)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._timer.cancel()
