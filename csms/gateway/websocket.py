"""The websocket of one charge point: what we change about websockets' own connection. Knows no OCPP.

Liveness is any complete frame, not only a pong: some charge points never answer pings (ev-server#1918, steve#245), and
bytes that never become a frame prove nothing (W8).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from websockets.asyncio.server import Server, ServerConnection
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Event, State
from websockets.server import ServerProtocol

from csms.gateway.handshake import Admitted
from csms.gateway.peculiarities import as_proof
from csms.gateway.proxy_protocol import Proxied, is_header
from csms.protocol.vocabulary import Protocol

REASON_BYTES_MAX = 123  # RFC 6455 5.5: a control frame holds 125 bytes, two of them the code
AT_ONCE_LENGTH_MAX = 8192  # four bytes each at most: what is buffered before a writer has to wait
ABORT_DELAY_S = 0.5  # beyond websockets' own deadline, which does not cover a full write buffer


class ChargePointSocket(ServerConnection):
    """`admitted` and `ocpp` are set by the handshake; `ocpp` stays None where no subprotocol is in common.

    `proxied` is what a trusted proxy said of it, before everything else. `peculiarities` are names of quirks that the
    handshake showed; `on_unanswered_ping` is called once.
    """

    def __init__(
        self,
        protocol: ServerProtocol,
        server: Server,
        *,
        open_timeout_s: float,
        ping_interval_s: float,
        ping_timeout_s: float,
        on_lost: Callable[[], None],
        on_stray_header: Callable[[ChargePointSocket], None],
        **options: Any,
    ) -> None:
        """`on_stray_header`: a PROXY header came where none may; the socket is then aborted."""
        super().__init__(protocol, server, **options)
        self.admitted: Admitted | None = None
        self.proxied: Proxied | None = None
        self.ocpp: Protocol | None = None
        self.peculiarities: set[str] = set()
        self._asked = ""
        self.on_unanswered_ping: Callable[[], None] | None = None
        self._open_timeout_s = open_timeout_s
        self._ping_interval_s = ping_interval_s
        self._ping_timeout_s = ping_timeout_s
        self._on_lost = on_lost
        self._on_stray_header = on_stray_header
        self._heard_at = self._ponged_at = self.loop.time()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def remote(self) -> str:
        """The peer's address: as the proxy says where there is one, never from a header of HTTP (RULES.md 25)."""
        if self.proxied is not None and self.proxied.remote is not None:
            return self.proxied.remote
        address = self.remote_address
        return str(address[0]) if address else "unknown"

    @property
    def is_open(self) -> bool:
        """Frames can still be sent."""
        return self.protocol.state is State.OPEN

    def allow_message_bytes(self, bytes_max: int) -> None:
        """Limit inbound messages, after inflation."""
        self.protocol.max_message_size = bytes_max

    def send_at_once(self, text: str) -> bool:
        """Write `text` where nobody can have to wait for the peer to read; False where somebody can: use `send`."""
        if not self.is_open or len(text) > AT_ONCE_LENGTH_MAX or self.transport.get_write_buffer_size():
            return False
        self.protocol.send_text(text.encode())
        self.send_data()
        return True

    def note_handshake(self) -> str:
        """The head of the handshake as it was when this was first asked for: the proof of its peculiarities."""
        if not self._asked and self.request is not None:
            self._asked = as_proof(self.request.path, self.request.headers.raw_items())
        return self._asked

    def forget_handshake(self) -> None:
        """Its headers have been heeded; kept, they would be a fifth of what an idle connection costs in memory."""
        for said in (self.request, self.response):
            if said is not None:
                said.headers.clear()
        self._asked = ""

    async def close_within(self, code: int, reason: str, within_s: float) -> None:
        """Close, and be closed after `within_s` even if the peer neither reads nor answers."""
        self.close_timeout = within_s
        try:
            async with asyncio.timeout(within_s + ABORT_DELAY_S):
                await self.close(code, reason.encode()[:REASON_BYTES_MAX].decode(errors="ignore"))
        except TimeoutError:
            self.transport.abort()

    # --- opened by a port of ours ---

    def opening_failed(self) -> None:
        """TLS, or the header of a proxy before it, has come to nothing."""
        self._on_lost()

    def abort_if_opening(self) -> None:
        """The deadline is here by which it must have asked for something; for the answer it waits, not we."""
        if self.protocol.state is State.CONNECTING and self.request is None:
            self.transport.abort()

    # --- hooks of websockets ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._timer = self.loop.call_later(self._open_timeout_s, self.abort_if_opening)

    def data_received(self, data: bytes) -> None:
        if self.request is None and is_header(data):
            self._on_stray_header(self)
            self.transport.abort()
            return
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_lost()
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)
        self._break_cycles()

    def _break_cycles(self) -> None:
        """Nothing comes any more. What still refers to itself would be given back by the collector alone, which is seldom."""
        self.protocol.parser.close()
        self.protocol.__dict__.pop("select_subprotocol", None)
        self.on_unanswered_ping = None

    def process_event(self, event: Event) -> None:
        if isinstance(event, Frame) and event.fin:
            self._heard_at = self.loop.time()
            if event.opcode is Opcode.PONG:
                self._ponged_at = self._heard_at
        super().process_event(event)

    def start_keepalive(self) -> None:
        """A timer instead of websockets' task: it costs an idle connection a tenth of the memory."""
        self._heard_at = self.loop.time()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(self._ping_interval_s, self._ping)

    def _ping(self) -> None:
        if not self.is_open:
            return
        self.protocol.send_ping(b"")
        self.send_data()
        self._timer = self.loop.call_later(self._ping_timeout_s, self._check_heard, self.loop.time())

    def _check_heard(self, pinged_at: float) -> None:
        """While we ourselves have paused reading, silence is our own doing."""
        if not self.is_open:
            return
        if self._heard_at < pinged_at and not self.recv_messages.paused:
            self.protocol.fail(CloseCode.GOING_AWAY, f"no frame for {self.loop.time() - self._heard_at:.0f} s")
            self.send_data()
            self._timer = self.loop.call_later(self.close_timeout or 0, self.transport.abort)
            return
        if self._ponged_at < pinged_at and self.on_unanswered_ping is not None:
            self.on_unanswered_ping()
            self.on_unanswered_ping = None
        self._timer = self.loop.call_later(max(0.0, self._ping_interval_s - self._ping_timeout_s), self._ping)
