"""The port of the file endpoint: HTTPS with the certificates of the OCPP port or its own, and limits for bad company."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from csms.database.pool import is_unavailable
from csms.files import metrics, service
from csms.files.cache import Copies
from csms.files.endpoint import Endpoint
from csms.files.exchange import PEER, Receive, Scope, Send
from csms.files.places import Places, connections_max
from csms.gateway import proxy_protocol
from csms.gateway.damper import Damper
from csms.gateway.port import AcceptingPort
from csms.gateway.proxy_protocol import Proxied
from csms.gateway.tls import Tls, TlsFilesInvalid, load_tls
from csms.settings import Settings

HEAD_S = 20.0
"""So long may everything take up to the end of a request's head: what a proxy says, TLS, and the head itself."""
SHUTDOWN_S = 5.0
IDLE_S = 60.0
LOOK_AT_CERTIFICATES_S = 30.0
TIDY_S = 3600.0
BACKLOG = 512
WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound

log = structlog.get_logger()


class FileServer(uvicorn.Server):
    """One task among ours. `url` is where it listens; where charge points see it is a setting."""

    def __init__(self, settings: Settings, pool: asyncpg.Pool[Any]) -> None:
        """`pool`: for files alone.

        Raises:
            TlsFilesInvalid: a file of TLS cannot be used.
        """
        self._settings = settings
        self._pool = pool
        self._copies = Copies(settings.data_dir / "files", pool)
        self._tls = _tls(settings)
        self._read_at = _changed_at(settings)
        self._places = Places(
            most=connections_max(settings), most_per_address=settings.files_connections_max_per_address
        )
        self._damper = Damper()
        self._port: AcceptingPort | None = None
        self._listening: socket.socket | None = None
        self._is_listening = asyncio.Event()
        app = Endpoint(pool, self._copies, idle_s=IDLE_S, retry_after_s=settings.retry_after_s)
        super().__init__(
            uvicorn.Config(
                app,
                http=GuardedProtocol, ws="none", lifespan="off", loop="none", log_config=None, access_log=False,
                server_header=False, proxy_headers=False, interface="asgi3",
            )
        )  # fmt: skip

    async def run_until_stopped(self) -> None:
        """Serve until `stop`; whoever fetches then is cut off, and goes on later or elsewhere."""
        self._listening = _listening_socket(self._settings)
        if self._tls is None:
            log.warning(
                "files_without_tls", url=self.public_url,
                next_step="only for charge points that know no better, in a network that nobody else is in, or behind "
                "a proxy that encrypts; else give certificates and leave out --files-plain",
            )  # fmt: skip
        if self._settings.files_url is None and self._settings.files_host in WILDCARDS:
            log.warning(
                "files_url_not_set", url=self.public_url,
                next_step="charge points elsewhere do not find files there: set --files-url to what they can reach",
            )  # fmt: skip
        self._port = AcceptingPort(
            self._listening,
            None if self._tls is None else self._tls.context,
            proxies=self._settings.proxy_protocol_from,
            admit_one=self._has_room,
            make_socket=self._make_connection,
            refused=self._refused,
            open_timeout_s=HEAD_S,
            close_timeout_s=SHUTDOWN_S,
        )
        self._is_listening.set()
        async with asyncio.TaskGroup() as tasks:
            chores = [tasks.create_task(self._watch_certificates()), tasks.create_task(self._tidy())]
            await self.serve(sockets=[])  # they are accepted by our own port
            await self._port.wait_closed()
            for each in chores:
                each.cancel()
        self._copies.close()

    def stop(self) -> None:
        self.should_exit = True
        if self._port is not None:
            self._port.stop_accepting()
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    async def listening(self) -> None:
        """Until the port is open."""
        await self._is_listening.wait()

    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
        """Signals are the process's."""
        return contextlib.nullcontext()

    @property
    def public_url(self) -> str:
        """Where charge points reach it: as set, else as on this machine."""
        if self._settings.files_url is not None:
            return self._settings.files_url.rstrip("/")
        assert self._listening is not None, "listening() comes first"
        host, port = self._listening.getsockname()[:2]
        host = "127.0.0.1" if host in WILDCARDS else host
        return f"{'http' if self._tls is None else 'https'}://{f'[{host}]' if ':' in host else host}:{port}"

    # --- connections

    def _address(self, remote: str) -> str | None:
        return None if proxy_protocol.trusted(remote, self._settings.proxy_protocol_from) else remote

    def _has_room(self, remote: str) -> bool:
        address = self._address(remote)
        if self._places.has_room(address):
            return True
        self._refused("connections_max" if self._places.has_room_for(address) else "address_max", remote=remote)
        return False

    def _make_connection(self, remote: str) -> GuardedProtocol:
        return GuardedProtocol(
            self.config, self.server_state, {}, places=self._places, address=self._address(remote),
            refused=self._refused,
        )  # fmt: skip

    def _refused(self, reason: str, *, remote: str, **told: str) -> None:
        """Each is counted, and logged once a minute."""
        metrics.REQUESTS.labels("none", reason).inc()
        if (since := self._damper.admit(reason, now=asyncio.get_running_loop().time())) is not None:
            log.warning("file_connections_refused", reason=reason, remote=remote, count=since, **told)

    # --- chores

    async def _watch_certificates(self) -> None:
        """Take renewed certificates into use, for connections that open from then on."""
        while self._tls is not None:
            await asyncio.sleep(LOOK_AT_CERTIFICATES_S)
            self.reload_certificates()

    def reload_certificates(self) -> None:
        """Read the files again if they have changed; if they cannot be used, the present ones stay."""
        changed_at = _changed_at(self._settings)
        if self._tls is None or changed_at == self._read_at:
            return
        try:
            _tls(self._settings)  # all of it is looked at before any of it is used
            for certificate, key in zip(*_files(self._settings), strict=True):
                self._tls.context.load_cert_chain(certificate, key)
        except (TlsFilesInvalid, ssl.SSLError, OSError) as invalid:
            log.error("certificates_of_files_not_reloaded", problem=str(invalid))  # noqa: TRY400 - no failure of ours
        else:
            self._read_at = changed_at
            log.info("certificates_of_files_reloaded")

    async def _tidy(self) -> None:
        """Let go of what has been kept for long enough."""
        while True:
            try:
                await asyncio.to_thread(self._copies.forget_unused)
                async with self._pool.acquire() as connection:
                    await service.forget_old(connection, keep=self._settings.files_retention)
            except Exception as error:
                if not is_unavailable(error):
                    log.exception("files_not_tidied")
            await asyncio.sleep(TIDY_S)


class GuardedProtocol(H11Protocol):
    """uvicorn's HTTP/1 with an end to waiting for a request, and with the connection at the application's hand."""

    def __init__(
        self, *args: Any, places: Places, address: str | None, refused: Callable[..., None], **kwargs: Any
    ) -> None:
        """Takes a place. `address` None: a proxy says whose it is."""
        super().__init__(*args, **kwargs)
        inner = self.app
        self.proxied: Proxied | None = None
        self._places = places
        self._address = address
        self._refused = refused
        self._is_asked = False
        places.take(address)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            self._is_asked = True
            scope[PEER] = self.transport
            await inner(scope, receive, send)

        self.app = app

    def opening_failed(self) -> None:
        self._places.give_back(self._address)

    def abort_if_opening(self) -> None:
        if not self._is_asked:
            self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        remote = None if self.proxied is None else self.proxied.remote
        if remote is None:
            return
        self.client = (remote, 0)
        if self._places.has_room_for(remote):
            self._address = remote
            self._places.name(remote)
        else:
            self._refused("address_max", remote=remote)
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._places.give_back(self._address)
        super().connection_lost(exc)


def require_tls_files(settings: Settings) -> None:
    """Raises:
    TlsFilesInvalid: a file of TLS of the file endpoint cannot be used.
    """
    if settings.files_are_served:
        _tls(settings)


def _tls(settings: Settings) -> Tls | None:
    """As on the OCPP port, but for certificates of clients: a token in the address is who they are."""
    if settings.files_plain:
        return None
    certificates, keys = _files(settings)
    without_clients = settings.model_copy(
        update={"tls_cert": certificates, "tls_key": keys, "tls_client_ca": None, "tls_client_crl": None}
    )
    return load_tls(without_clients, now=datetime.now(UTC))


def _files(settings: Settings) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    if settings.files_cert:
        return settings.files_cert, settings.files_key
    return settings.tls_cert, settings.tls_key


def _changed_at(settings: Settings) -> tuple[float, ...]:
    return tuple(_times(path for each in _files(settings) for path in each))


def _times(paths: Iterator[Path]) -> Iterator[float]:
    for path in paths:
        try:
            yield path.stat().st_mtime
        except OSError:
            yield 0.0


def _listening_socket(settings: Settings) -> socket.socket:
    host = settings.files_host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    dual = host == "::" and socket.has_dualstack_ipv6()
    listening = socket.create_server(
        (host, settings.files_port_served),
        family=family,
        dualstack_ipv6=dual,
        backlog=BACKLOG,
        reuse_port=settings.reuse_port,
    )
    listening.setblocking(False)
    return listening
