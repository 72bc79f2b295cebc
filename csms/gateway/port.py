"""A port whose sockets are accepted here, one task each: TLS, or plain behind a proxy that says who came.

The event loops' own TLS servers tell nobody of a handshake that failed: neither who it was nor why, nor that its place
is free again. And what a proxy says comes before everything else, TLS included. Here each opening is a task that knows.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any, Protocol, cast

import structlog

from csms.gateway import proxy_protocol
from csms.gateway.proxy_protocol import HeaderInvalid, HeaderMissing, Networks, Proxied
from csms.gateway.tls_failures import explain

ACCEPT_PAUSE_S = 0.1
"""After a failure to accept, such as no file left: others need the time to give some back."""
SEND_PROXY = "let it send one (HAProxy: send-proxy-v2), or take its address out of --proxy-protocol-from"

log = structlog.get_logger()


class _Refused(Protocol):
    def __call__(self, reason: str, *, remote: str, **told: str) -> None: ...


class Opening(Protocol):
    """What becomes of an accepted socket: an asyncio protocol that has taken a place, and is told how it was opened."""

    proxied: Proxied | None

    def opening_failed(self) -> None:
        """No connection has come of it: it gives its place back."""

    def abort_if_opening(self) -> None:
        """The deadline is here, by which it must have been asked for something."""


class AcceptingPort:
    """`context` may be replaced at any time; handshakes that begin later take the new one. None: no TLS here."""

    def __init__(
        self,
        listening: socket.socket,
        context: ssl.SSLContext | None,
        *,
        proxies: Networks,
        admit_one: Callable[[str], bool],
        make_socket: Callable[[str], Opening],
        refused: _Refused,
        open_timeout_s: float,
        close_timeout_s: float,
    ) -> None:
        """`make_socket` takes a place; both it and `admit_one` are told whose socket it is, which may be a proxy.

        Sockets from `proxies` must begin with a PROXY header, and no others may.
        """
        self.context = context
        self._listening = listening
        self._proxies = proxies
        self._admit_one = admit_one
        self._make_socket = make_socket
        self._refused = refused
        self._open_timeout_s = open_timeout_s
        self._close_timeout_s = close_timeout_s
        self._loop = asyncio.get_running_loop()
        self._accepting = self._loop.create_task(self._accept())

    def stop_accepting(self) -> None:
        """No new sockets, and no more of those that are still being opened."""
        self._accepting.cancel()

    async def wait_closed(self) -> None:
        self.stop_accepting()
        await asyncio.wait((self._accepting,))

    async def _accept(self) -> None:
        try:
            async with asyncio.TaskGroup() as openings:
                while True:
                    try:
                        peer, address = await self._loop.sock_accept(self._listening)
                    except OSError as trouble:
                        self._refused("accept_failed", remote="any", next_step=str(trouble))
                        await asyncio.sleep(ACCEPT_PAUSE_S)
                        continue
                    remote = str(address[0])
                    if self._admit_one(remote):
                        openings.create_task(self._open(peer, remote, self._make_socket(remote)))
                    else:
                        peer.close()  # to say more would cost the handshake that there is no room for
        finally:
            self._listening.close()

    async def _open(self, peer: socket.socket, remote: str, opening: Opening) -> None:
        """Header and TLS, and the websocket's handshake after them, have as long as the latter alone has elsewhere."""
        deadline = self._loop.time() + self._open_timeout_s
        try:
            if proxy_protocol.trusted(remote, self._proxies):
                opening.proxied = await self._proxied(peer, remote, deadline)
                if opening.proxied is None:
                    peer.close()
                    opening.opening_failed()
                    return
                remote = opening.proxied.remote or remote
            await self._hand_over(peer, opening)
        except OSError as error:
            opening.opening_failed()
            failure = explain(error)
            self._refused(failure.reason, remote=remote, next_step=failure.next_step)
        except Exception:
            opening.opening_failed()
            log.exception("opening_failed", remote=remote)
        else:
            self._loop.call_at(deadline, opening.abort_if_opening)

    async def _hand_over(self, peer: socket.socket, opening: Opening) -> None:
        tls: dict[str, Any] = {}
        if self.context is not None:
            tls = {
                "ssl": self.context,
                "ssl_handshake_timeout": self._open_timeout_s,
                "ssl_shutdown_timeout": self._close_timeout_s,
            }
        await self._loop.connect_accepted_socket(lambda: cast("asyncio.Protocol", opening), peer, **tls)

    # --- what the proxy says ---

    async def _proxied(self, peer: socket.socket, remote: str, deadline: float) -> Proxied | None:
        """The header of a socket that comes from a proxy; None where there is none to go on with."""
        try:
            async with asyncio.timeout_at(deadline):
                return proxy_protocol.parse(await self._header(peer))
        except HeaderMissing:
            self._refused("proxy_header_missing", remote=remote, next_step=SEND_PROXY)
        except HeaderInvalid as invalid:
            self._refused("proxy_header_invalid", remote=remote, next_step=f"{invalid}; {SEND_PROXY}")
        except TimeoutError:
            self._refused("proxy_header_timeout", remote=remote, next_step=SEND_PROXY)
        except OSError:
            pass  # a proxy that only looked whether somebody listens
        except asyncio.CancelledError:
            peer.close()
            raise
        return None

    async def _header(self, peer: socket.socket) -> bytes:
        data = b""
        while more := proxy_protocol.missing(data):
            read = await self._loop.sock_recv(peer, more)
            if not read:
                raise ConnectionResetError
            data += read
        return data
