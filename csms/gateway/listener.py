"""The ports that charge points connect to: limits, handshakes and refusals. What is said afterwards is connection.py's."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from csms.charge_points.charge_point import ChargePoint
from csms.database.errors import DatabaseUnavailable
from csms.files.places import open_files_max
from csms.gateway import metrics
from csms.gateway.application import Application, DatabaseHealth
from csms.gateway.client_certificate import ClientCertificate, issuers_in, read_certificate
from csms.gateway.damper import Damper
from csms.gateway.handshake import Admitted, Encrypted, Rejected, admit, identity_of, shown
from csms.gateway.overflow import Overflow
from csms.gateway.peculiarities import (
    identity_in_credentials,
    of_request,
    of_subprotocols,
    refusal_of,
    subprotocol_for,
)
from csms.gateway.port import AcceptingPort
from csms.gateway.slowing import Slowing
from csms.gateway.throttle import WINDOW_S, Throttle, network
from csms.gateway.tls import Tls, TlsFilesInvalid, load_tls
from csms.gateway.websocket import ChargePointSocket
from csms.protocol.quirks import Seen
from csms.protocol.vocabulary import Protocol
from csms.security.event import OwnKind
from csms.settings import Settings

BACKLOG = 2048  # a whole fleet comes back at once
SEND_BUFFER_BYTES = 64 * 1024  # a charge point that does not read may hold no more of our memory
FRAMES_BUFFERED_MAX = 16  # read from the socket, not yet looked at
OPEN_FILES_SHARE = 0.9
ANSWERED_S_MAX = 30.0
"""So long the answer to a handshake may take, beyond the wait for it; who gives it has less patience than that."""

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
    others = open_now + settings.database_pool_size + open_files_max(settings)
    return max(1, int(limit * OPEN_FILES_SHARE) - others)


def _extensions() -> list[ServerPerMessageDeflateFactory]:
    return [ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)]


def _deaf_socket() -> socket.socket:
    """Bound and never listening: websockets' server needs one, also where others accept all connections for it."""
    deaf = socket.socket()
    deaf.bind(("127.0.0.1", 0))
    deaf.setblocking(False)
    return deaf


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
        self._slowing = Slowing()
        self._damper = Damper()
        self._overflow = Overflow(settings.retry_after_s)
        self._open = 0
        self._open_max = 0
        self._server: Server | None = None
        self._tls: Tls | None = None
        self._ports: list[AcceptingPort] = []
        self._encrypting: AcceptingPort | None = None
        self.draining = False
        self.port = 0
        self.tls_port: int | None = None

    async def start(self) -> None:
        """Listen. `port` is the bound one from here on, and so is `tls_port` where certificates are set.

        Without a plain port `port` is that of TLS.

        Raises:
            TlsFilesInvalid: a file of TLS cannot be used.
        """
        self._open_max = connections_max(self._settings)
        self._tls = load_tls(self._settings, now=datetime.now(UTC))
        plain = self._listening_socket(self._settings.ocpp_port) if self._settings.ocpp_plain else None
        accepts_itself = plain is not None and not self._settings.proxy_protocol_from
        self._server = await serve(
            self._serve,
            sock=plain if accepts_itself else _deaf_socket(),
            start_serving=accepts_itself,
            backlog=BACKLOG,
            create_connection=self._connection,  # type: ignore[arg-type]  # any factory of an asyncio protocol will do
            process_request=self._process_request,
            select_subprotocol=self._select_subprotocol,
            extensions=_extensions(),
            compression=None,
            server_header=None,
            open_timeout=self._settings.open_timeout_s + ANSWERED_S_MAX,
            close_timeout=self._settings.close_timeout_s,
            ping_interval=None,
            max_size=self._settings.message_bytes_max_unaccepted,
            max_queue=FRAMES_BUFFERED_MAX,
            logger=_websockets_log,
        )
        if not accepts_itself:  # websockets answers 503 where its own socket does not listen
            self._server.is_serving = lambda: not self.draining  # type: ignore[method-assign]  # it has no other way
        if plain is not None:
            self.port = plain.getsockname()[1]
            if not accepts_itself:
                self._open_port(plain, None)
        if self._tls is not None:
            self._start_tls(self._tls)

    def stop_accepting(self) -> None:
        """No new sockets; those that are open stay open."""
        self.draining = True
        for port in self._ports:
            port.stop_accepting()
        if self._server is not None:
            self._server.close(close_connections=False)

    async def wait_closed(self) -> None:
        """Until every socket is closed and its work done."""
        if self.tls_port is not None:
            with suppress(ValueError, RuntimeError):
                asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
        for port in self._ports:
            await port.wait_closed()
        if self._server is not None:
            await self._server.wait_closed()

    def _listening_socket(self, port: int) -> socket.socket:
        host = self._settings.ocpp_host
        is_ipv6 = ":" in host
        listening = socket.create_server(
            (host, port),
            family=socket.AF_INET6 if is_ipv6 else socket.AF_INET,
            dualstack_ipv6=is_ipv6 and host == "::" and socket.has_dualstack_ipv6(),
            backlog=BACKLOG,
            reuse_port=self._settings.reuse_port,
        )
        # Accepted sockets inherit it.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        listening.setblocking(False)
        return listening

    def _open_port(self, listening: socket.socket, context: ssl.SSLContext | None) -> AcceptingPort:
        port = AcceptingPort(
            listening,
            context,
            proxies=self._settings.proxy_protocol_from,
            admit_one=self._has_room,
            make_socket=self._accepted_connection,
            refused=self._opening_refused,
            open_timeout_s=self._settings.open_timeout_s,
            close_timeout_s=self._settings.close_timeout_s,
        )
        self._ports.append(port)
        return port

    # --- TLS ---

    def _start_tls(self, tls: Tls) -> None:
        listening = self._listening_socket(self._settings.tls_port)
        self.tls_port = port = listening.getsockname()[1]
        if not self._settings.ocpp_plain:
            self.port = port
        self._encrypting = self._open_port(listening, tls.context)
        self._tell_expiries(tls)
        # Not every platform has SIGHUP handlers, and a loop outside the main thread has none either.
        with suppress(NotImplementedError, ValueError, RuntimeError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.reload_certificates)

    def reload_certificates(self) -> None:
        """Read the files again, for sockets that open from now on; if they cannot be used, the present ones stay."""
        assert self._encrypting is not None, "only where TLS is on"
        try:
            tls = load_tls(self._settings, now=datetime.now(UTC))
        except TlsFilesInvalid as invalid:
            log.error(  # noqa: TRY400 - a wrong file is no failure of ours, and needs no traceback
                "certificates_not_reloaded",
                file=str(invalid.file),
                problem=invalid.problem,
                next_step=f"{invalid.next_step}; then send SIGHUP again. The present certificates stay in use.",
            )
            return
        assert tls is not None, "the settings have not changed"
        self._tls = tls
        self._encrypting.context = tls.context
        log.info("certificates_reloaded", valid_until=tls.valid_until.isoformat())
        self._tell_expiries(tls)

    def _tell_expiries(self, tls: Tls) -> None:
        for each in tls.expiries:
            log.warning(
                "certificate_ends",
                file=str(each.file),
                what=each.what,
                at=each.at.isoformat(),
                next_step="replace the file, then send SIGHUP to csms serve",
            )

    def _accepted_connection(self, _: str) -> ChargePointSocket:
        """What websockets makes of each plain socket, for one that was accepted elsewhere."""
        assert self._server is not None

        def select(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
            return self._select_subprotocol(connection, offered)

        protocol = ServerProtocol(
            extensions=_extensions(),
            select_subprotocol=select,
            max_size=self._settings.message_bytes_max_unaccepted,
            logger=_websockets_log,
        )
        connection = self._charge_point_socket(
            protocol,
            self._server,
            ping_interval=None,
            close_timeout=self._settings.close_timeout_s,
            max_queue=FRAMES_BUFFERED_MAX,
        )
        return connection

    async def _encrypted(self, websocket: ChargePointSocket, charge_point: ChargePoint | None) -> Encrypted | None:
        """How it came; where its certificate is to be the proof, with what our books say of that."""
        tls = websocket.transport.get_extra_info("ssl_object")
        if tls is None:
            by_proxy = websocket.proxied is not None and websocket.proxied.tls
            return Encrypted(at=datetime.now(UTC), by_proxy=True) if by_proxy else None
        assert self._tls is not None, "only the TLS port makes TLS sockets"
        der, rules = tls.getpeercert(binary_form=True), self._tls.rules
        certificate = None if der is None else read_certificate(der)
        record = None
        if (
            isinstance(certificate, ClientCertificate)
            and charge_point is not None
            and charge_point.comes_by_certificate
        ):
            record = await self._application.on_record(certificate.issuer, certificate.number)
        return Encrypted(
            at=datetime.now(UTC), certificate=certificate, rules=rules, record=record, issuers=issuers_in(tls)
        )

    # --- one socket ---

    def _has_room(self, _: str = "") -> bool:
        if self._open < self._open_max:
            return True
        self._refused("connections_max", remote="any")
        return False

    def _connection(self, protocol: ServerProtocol, server: Server, **options: Any) -> asyncio.Protocol:
        if not self._has_room():
            return self._overflow.refuse()
        return self._charge_point_socket(protocol, server, **options)

    def _charge_point_socket(self, protocol: ServerProtocol, server: Server, **options: Any) -> ChargePointSocket:
        self._open += 1
        return ChargePointSocket(
            protocol,
            server,
            open_timeout_s=self._settings.open_timeout_s,
            ping_interval_s=self._settings.ping_interval_s,
            ping_timeout_s=self._settings.ping_timeout_s,
            on_lost=self._lost,
            on_stray_header=self._stray_header,
            **options,
        )

    def _lost(self) -> None:
        self._open -= 1

    async def _serve(self, websocket: ServerConnection) -> None:
        assert isinstance(websocket, ChargePointSocket)
        await self._serve_socket(websocket)

    async def _process_request(self, websocket: ServerConnection, request: Request) -> Response | None:
        """Decide about one handshake; None lets websockets check and complete it. Who guesses waits for the answer."""
        assert isinstance(websocket, ChargePointSocket)
        response = await self._response(websocket, request)
        if response is not None and response.status_code == HTTPStatus.TOO_MANY_REQUESTS and not self.draining:
            await self._slowing.wait()
        return response

    async def _response(self, websocket: ChargePointSocket, request: Request) -> Response | None:
        if "Connection" not in request.headers and "Upgrade" in request.headers:
            websocket.peculiarities.add(Seen.UPGRADE_HEADER_MISSING)
            websocket.note_handshake()  # as it came
            request.headers["Connection"] = "Upgrade"  # some stacks forget it, and cannot mean anything else
        if self.draining:
            return self._unavailable(websocket, "draining")
        if not self._health.available:
            return self._unavailable(websocket, "database_unavailable")
        identity = identity_of(request.path)
        if isinstance(identity, Rejected):
            named = identity_in_credentials(request.path, request.headers.get_all("Authorization"))
            if named is None:
                return self._reject(websocket, identity, request.path.partition("?")[0])
            identity = named
        try:
            charge_point = await self._application.find(identity)
            tls = await self._encrypted(websocket, charge_point)
        except DatabaseUnavailable:
            return self._unavailable(websocket, "database_unavailable")
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is ours, and the charge point must come back
            self._log_failure(failure, identity)
            return self._unavailable(websocket, "internal")
        return self._admit(websocket, request, identity, charge_point, tls)

    def _admit(
        self,
        websocket: ChargePointSocket,
        request: Request,
        identity: str,
        charge_point: ChargePoint | None,
        tls: Encrypted | None,
    ) -> Response | None:
        origin = request.headers.get_all("Origin")
        verdict = admit(
            charge_point,
            authorization=request.headers.get_all("Authorization"),
            origin=origin,
            public_hosts=self._settings.public_hosts,
            password_key=self._password_key,
            tls=tls,
        )
        if isinstance(verdict, Rejected):
            return self._reject(websocket, verdict, identity, charge_point)
        websocket.peculiarities |= of_request(request.path, identity, verdict.charge_point.id, origin)
        refused = refusal_of(verdict.charge_point, websocket.peculiarities)
        if refused is not None:
            frame = websocket.note_handshake()
            self._application.deviated(verdict.charge_point, websocket.peculiarities, action=None, frame=frame)
            return self._reject(websocket, refused, identity, charge_point)
        for warning in verdict.warnings:
            log.warning(warning, charge_point=verdict.charge_point.id, remote=websocket.remote)
        for each in origin:
            log.info("origin_seen", charge_point=verdict.charge_point.id, origin=shown(each))
        websocket.admitted = verdict
        return None

    def _select_subprotocol(self, websocket: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        assert isinstance(websocket, ChargePointSocket)
        assert isinstance(websocket.admitted, Admitted), "the handshake goes on only for who was admitted"
        choice = subprotocol_for(websocket.admitted.charge_point, offered)
        websocket.peculiarities |= of_subprotocols(offered, choice)
        websocket.ocpp = choice.protocol
        if choice.protocol is None:
            log.warning(
                "no_common_subprotocol",
                charge_point=websocket.admitted.charge_point.id,
                offered=shown(",".join(offered)),
                next_step=f"the socket is closed; set the charge point to one of {', '.join(Protocol)}",
            )
        return None if choice.echo is None else Subprotocol(choice.echo)

    # --- refusals ---

    def _reject(
        self, websocket: ChargePointSocket, rejected: Rejected, identity: str, charge_point: ChargePoint | None = None
    ) -> Response:
        """`identity` as it came, which may be anything; `charge_point` where it names one."""
        remote = websocket.remote
        now = asyncio.get_running_loop().time()
        throttled = rejected.guess and self._throttle.failed(identity, remote, now=now)
        kind = OwnKind.FAILED_AUTHENTICATION if throttled else rejected.event
        if kind is not None:
            self._application.noticed(
                kind,
                charge_point="" if charge_point is None else charge_point.id,
                remote=network(remote),
                info=f"{rejected.reason}: {shown(identity)}",
            )
        if throttled:
            self._refused("too_many_failures", remote=remote)
            response = websocket.respond(HTTPStatus.TOO_MANY_REQUESTS, "too many failed attempts; wait a minute\n")
            response.headers["Retry-After"] = str(int(WINDOW_S))
            return response
        metrics.HANDSHAKES.labels(rejected.reason).inc()
        if (since := self._damper.admit(f"{rejected.reason} {shown(identity).casefold()}", now=now)) is not None:
            told = {} if rejected.next_step is None else {"next_step": rejected.next_step}
            log.warning(
                "handshake_refused",
                reason=rejected.reason,
                charge_point=shown(identity),
                remote=remote,
                count=since,
                **told,
            )
        response = websocket.respond(rejected.status, f"{rejected.text}\n")
        if rejected.status is HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = 'Basic realm="csms", charset="UTF-8"'
        return response

    def _unavailable(self, websocket: ChargePointSocket, reason: str) -> Response:
        """Offline, a charge point keeps its messages without counting attempts: this is the safe answer to trouble."""
        self._refused(reason, remote=websocket.remote)
        response = websocket.respond(HTTPStatus.SERVICE_UNAVAILABLE, "come back later\n")
        response.headers["Retry-After"] = str(self._settings.retry_after_s)
        return response

    def _stray_header(self, websocket: ChargePointSocket) -> None:
        """Who is not listed may not say where he comes from; with one header before, nobody may say it twice."""
        self._opening_refused(
            "proxy_header_unexpected",
            remote=websocket.remote,
            next_step="if it is your proxy, list its address: --proxy-protocol-from",
        )

    def _refused(self, reason: str, *, remote: str, **told: str) -> None:
        """Refusals that come by the thousand are counted each, and logged once a minute."""
        metrics.HANDSHAKES.labels(reason).inc()
        if (since := self._damper.admit(reason, now=asyncio.get_running_loop().time())) is not None:
            log.warning("handshakes_refused", reason=reason, remote=remote, count=since, **told)

    def _opening_refused(self, reason: str, *, remote: str, **told: str) -> None:
        """Before the websocket's handshake: TLS, or the header of a proxy."""
        if reason != "accept_failed":  # that one is this machine's trouble
            by_proxy = reason.startswith("proxy_header")
            kind = OwnKind.PROXY_REFUSED if by_proxy else OwnKind.TLS_REFUSED
            self._application.noticed(kind, remote=network(remote), info=reason)
            if not by_proxy:
                self._application.unheard(remote, reason)
        self._refused(reason, remote=remote, **told)

    def _log_failure(self, failure: Exception, identity: str) -> None:
        if (since := self._damper.admit("failure", now=asyncio.get_running_loop().time())) is not None:
            log.error("handshake_failed", charge_point=shown(identity), count=since, exc_info=failure)
