"""The TLS port: accepts, shakes hands within the time allowed, and hands over sockets that are encrypted.

The event loops' own TLS servers tell nobody of a handshake that failed: neither who it was nor why, nor that its place
is free again. Here each handshake is a task that knows.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Protocol

import structlog
from websockets.protocol import State

from csms.gateway.tls_failures import explain
from csms.gateway.websocket import ChargePointSocket

ACCEPT_PAUSE_S = 0.1
"""After a failure to accept, such as no file left: others need the time to give some back."""

log = structlog.get_logger()


class _Refused(Protocol):
    def __call__(self, reason: str, *, remote: str, **told: str) -> None: ...


class TlsPort:
    """`context` may be replaced at any time; handshakes that begin later take the new one."""

    def __init__(
        self,
        listening: socket.socket,
        context: ssl.SSLContext,
        *,
        admit_one: Callable[[], bool],
        make_socket: Callable[[], ChargePointSocket],
        lost: Callable[[], None],
        refused: _Refused,
        open_timeout_s: float,
        close_timeout_s: float,
    ) -> None:
        """`make_socket` takes a place, which `lost` gives back where no connection came of it."""
        self.context = context
        self._listening = listening
        self._admit_one = admit_one
        self._make_socket = make_socket
        self._lost = lost
        self._refused = refused
        self._open_timeout_s = open_timeout_s
        self._close_timeout_s = close_timeout_s
        self._loop = asyncio.get_running_loop()
        self._accepting = self._loop.create_task(self._accept())

    def stop_accepting(self) -> None:
        """No new sockets, and no more of those that are still shaking hands."""
        self._accepting.cancel()

    async def wait_closed(self) -> None:
        self.stop_accepting()
        await asyncio.wait((self._accepting,))

    async def _accept(self) -> None:
        try:
            async with asyncio.TaskGroup() as handshakes:
                while True:
                    try:
                        peer, address = await self._loop.sock_accept(self._listening)
                    except OSError as trouble:
                        self._refused("accept_failed", remote="any", next_step=str(trouble))
                        await asyncio.sleep(ACCEPT_PAUSE_S)
                        continue
                    if self._admit_one():
                        handshakes.create_task(self._shake_hands(peer, str(address[0])))
                    else:
                        peer.close()  # to say more would cost the handshake that there is no room for
        finally:
            self._listening.close()

    async def _shake_hands(self, peer: socket.socket, remote: str) -> None:
        deadline = self._loop.time() + self._open_timeout_s
        websocket = self._make_socket()
        try:
            await self._loop.connect_accepted_socket(
                lambda: websocket,
                peer,
                ssl=self.context,
                ssl_handshake_timeout=self._open_timeout_s,
                ssl_shutdown_timeout=self._close_timeout_s,
            )
        except OSError as error:
            self._lost()
            failure = explain(error)
            self._refused(failure.reason, remote=remote, next_step=failure.next_step)
        except Exception:
            self._lost()
            log.exception("tls_handshake_failed", remote=remote)
        else:
            # TLS and websocket handshake together have as long as the latter alone has on a plain socket.
            self._loop.call_at(deadline, _abort_if_opening, websocket)


def _abort_if_opening(websocket: ChargePointSocket) -> None:
    if websocket.protocol.state is State.CONNECTING:
        websocket.transport.abort()
