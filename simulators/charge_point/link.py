"""The websocket of a simulated charge point: Basic auth, reconnects with back-off, one peer of the `ocpp` package per socket."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import random
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar
from urllib.parse import quote, urlsplit

import ocpp.messages
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from simulators.charge_point.outbox import LinkDown

# One message at a time and a few hundred microseconds each: a thread per validation costs more than it saves.
ocpp.messages.ASYNC_VALIDATION = False

RETRY_AFTER_MAX_S = 600.0
ANSWER_LENGTH_MAX = 200
REFUSALS = {
    400: ("correct the identity and the path of --url: ws://HOST:PORT/ocpp", 1),
    401: ("correct the identity and the password; csms cp set {identity} --new-password makes a new one", 4),
    403: ("see the server's log for why it does not let this peer in", 4),
    404: ("correct the identity, or make it known: csms cp create {identity} --site SITE", 3),
}
"""HTTP status -> what to do next, and the exit status of a command that ends with it."""
Result = TypeVar("Result")
HANDSHAKE_FAILURES = (InvalidHandshake, ConnectionClosed, OSError, TimeoutError, EOFError)


class NotConnectedError(Exception):
    """The charge point could not connect in time."""


class HandshakeRefusedError(NotConnectedError):
    """The server knows who asks and says no: asking again changes nothing, and would only be throttled."""

    def __init__(self, credentials: Credentials, refused: InvalidStatus) -> None:
        response = refused.response
        self.status = response.status_code
        words = "".join(each if each.isprintable() else " " for each in (response.body or b"").decode(errors="replace"))
        said = f": {words.strip()[:ANSWER_LENGTH_MAX]}" if words.strip() else ""
        self.message = (
            f"{credentials.identity} was refused at {credentials.address} with {self.status} "
            f"{response.reason_phrase}{said}"
        )
        next_step, self.exit_code = REFUSALS[self.status]
        self.next_step = next_step.format(identity=credentials.identity)
        super().__init__(self.message)

    @staticmethod
    def is_final(refused: InvalidStatus) -> bool:
        """Whether this answer is about who asks, not about when (as 429 and 503 are)."""
        return refused.response.status_code in REFUSALS


class Connection(Protocol):
    """What the `ocpp` package needs of a websocket; fault layers have the same shape."""

    async def send(self, message: str) -> None:
        """Send one text message."""

    async def recv(self) -> Any:
        """The next message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconnectPolicy:
    """Random back-off (OCPP 2.0.1 part 4, 5.3): wait + rand(range), doubling a few times. Real seconds."""

    wait_s: float = 10.0
    range_s: float = 10.0
    doublings: int = 3
    retry_refused: bool = False
    """Keep trying though the server refuses the credentials, as real charge points do."""
    open_timeout_s: float = 10.0
    close_timeout_s: float = 2.0
    ping_interval_s: float | None = 30.0

    def delay_s(self, attempt: int, chance: random.Random) -> float:
        """How long to wait before attempt ``attempt`` (1 is the first after a loss)."""
        return float(self.wait_s * 2 ** min(attempt - 1, self.doublings)) + chance.random() * self.range_s


@dataclass(slots=True)
class LinkCounts:
    """What happened to the connection so far."""

    handshakes: int = 0
    refused: Counter[str] = field(default_factory=Counter)  # status code or kind of failure -> how often
    closed: Counter[int] = field(default_factory=Counter)  # close code -> how often


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Where to connect, and as whom. An empty password sends no Authorization header (security profile 0).

    A password of bytes is a 1.6 AuthorizationKey, which may be any bytes.
    """

    url: str
    identity: str
    password: str | bytes

    @property
    def address(self) -> str:
        """The URL of this charge point."""
        return f"{self.url.rstrip('/')}/{quote(self.identity, safe='')}"

    @property
    def headers(self) -> dict[str, str]:
        """The Authorization header."""
        if not self.password:
            return {}
        password = self.password if isinstance(self.password, bytes) else self.password.encode()
        token = base64.b64encode(self.identity.encode() + b":" + password).decode()
        return {"Authorization": f"Basic {token}"}


def only_loopback(url: str) -> str:
    """A simulator never floods somebody else's system: it speaks to this machine only."""
    host = urlsplit(url).hostname or ""
    if host not in {"localhost", "::1"} and not host.startswith("127."):
        raise ValueError(f"simulators speak to this machine only; use ws://127.0.0.1:PORT/ocpp instead of {url}")
    return url


class Link:
    """Keeps one connection up while it is wanted, and tells its owner when it comes and goes."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        subprotocol: str,
        make_peer: Callable[[Connection], Any],
        on_up: Callable[[], None],
        on_down: Callable[[], None],
        reconnect: ReconnectPolicy,
        chance: random.Random,
        wrap: Callable[[Connection], Connection] | None = None,
    ) -> None:
        only_loopback(credentials.url)
        self.credentials = credentials
        self.subprotocol = subprotocol
        self.counts = LinkCounts()
        self.connected = asyncio.Event()
        self._make_peer = make_peer
        self._on_up, self._on_down = on_up, on_down
        self._reconnect, self._chance = reconnect, chance
        self._wrap = wrap
        self.tls: ssl.SSLContext | None = None  # for wss: what it trusts, and by which certificate it comes
        self._wanted = asyncio.Event()
        self._hurry = asyncio.Event()
        self.refusal: HandshakeRefusedError | None = None
        self._refused = asyncio.Event()
        self._gone = asyncio.Event()  # no socket, and the owner knows it
        self._gone.set()
        self._socket: ClientConnection | None = None
        self._peer: Any = None
        self._reading: asyncio.Task[None] | None = None
        self._last_failure = "not tried yet"

    # --- wishes

    @property
    def wanted(self) -> bool:
        """Whether the charge point means to be connected, be it at this moment or not."""
        return self._wanted.is_set()

    def go_up(self) -> None:
        """Connect, and stay connected; at once, whatever back-off is running or refusal was final."""
        self.refusal = None
        self._refused.clear()
        self._wanted.set()
        self._hurry.set()

    async def go_down(self) -> None:
        """Close the socket and stay offline."""
        self._wanted.clear()
        if self._socket is not None:
            await self._socket.close()
        await self._gone.wait()

    def cut(self) -> None:
        """Lose the connection without a goodbye; the back-off decides when it comes back."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def until_connected(self, timeout_s: float) -> None:
        """Wait for the handshake.

        Raises:
            HandshakeRefusedError: the server refuses these credentials.
            NotConnectedError: it did not come to one in time.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self.unless_refused(self.connected.wait())
        except TimeoutError:
            raise NotConnectedError(
                f"{self.credentials.identity} could not connect to {self.credentials.address} within {timeout_s:g} s "
                f"({self._last_failure}); is the server up, and are identity and password right?"
            ) from None

    async def unless_refused(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do the work, and give it up as soon as the server has refused these credentials for good.

        Raises:
            HandshakeRefusedError: it has.
        """
        working, refused = asyncio.create_task(work), asyncio.create_task(self._refused.wait())
        try:
            await asyncio.wait({working, refused}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            assert self.refusal is not None, "both are set at once"
            raise self.refusal
        finally:
            for each in (working, refused):
                each.cancel()
            await asyncio.gather(working, refused, return_exceptions=True)

    # --- talking

    async def call(self, payload: Any) -> Any:
        """Send a CALL and wait for its answer; `LinkDown` if the connection goes away meanwhile."""
        peer, reading = self._peer, self._reading
        if peer is None or reading is None or reading.done():
            raise LinkDown
        asking = asyncio.ensure_future(peer.call(payload, suppress=False))
        try:
            await asyncio.wait({asking, reading}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not asking.done():
                asking.cancel()
                await asyncio.wait({asking})
        if asking.cancelled():
            raise LinkDown
        failure = asking.exception()
        if isinstance(failure, ConnectionClosed):
            raise LinkDown from failure
        return asking.result()

    async def send_raw(self, text: str) -> None:
        """Put a frame on the wire as it is."""
        if self._socket is None:
            raise LinkDown
        try:
            await self._socket.send(text)
        except ConnectionClosed as closed:
            raise LinkDown from closed

    # --- the loop

    async def run(self) -> None:
        """Connect, read, reconnect, for ever."""
        failures = 0
        while True:
            await self._wanted.wait()
            delay_s = await self._connect_once()
            failures = 0 if delay_s is None else failures + 1
            if not self._wanted.is_set():
                continue
            pause_s = max(self._reconnect.delay_s(max(failures, 1), self._chance), delay_s or 0.0)
            self._hurry.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._hurry.wait()

    async def _connect_once(self) -> float | None:
        """One connection from handshake to close. None after a connection, else the least time to wait."""
        self._hurry.clear()
        encrypted: dict[str, Any] = {} if self.tls is None else {"ssl": self.tls}
        try:
            self._socket = await connect(
                self.credentials.address,
                subprotocols=[Subprotocol(self.subprotocol)],
                additional_headers=self.credentials.headers,
                compression=None,
                open_timeout=self._reconnect.open_timeout_s,
                close_timeout=self._reconnect.close_timeout_s,
                ping_interval=self._reconnect.ping_interval_s,
                proxy=None,
                **encrypted,
            )
        except InvalidStatus as refused:
            status = refused.response.status_code
            self._failed(str(status))
            if HandshakeRefusedError.is_final(refused) and not self._reconnect.retry_refused:
                self._wanted.clear()
                self.refusal = HandshakeRefusedError(self.credentials, refused)
                self._refused.set()
            return retry_after_s(refused.response.headers.get("Retry-After"))
        except HANDSHAKE_FAILURES as failure:
            self._failed(type(failure).__name__)
            return 0.0
        if self._wanted.is_set():
            await self._talk(self._socket)
        else:  # the wish was withdrawn during the handshake
            await self._socket.close()
            self._socket = None
        return None

    def _failed(self, how: str) -> None:
        self.counts.refused[how] += 1
        self._last_failure = f"last handshake: {how}"

    async def _talk(self, socket: ClientConnection) -> None:
        self.counts.handshakes += 1
        self._gone.clear()
        connection: Connection = socket if self._wrap is None else self._wrap(socket)
        self._peer = self._make_peer(connection)
        self._reading = asyncio.create_task(self._read(self._peer))
        self.connected.set()
        self._on_up()
        try:
            await self._reading
        finally:
            if not self._reading.done():
                self._reading.cancel()
            self._peer = None
            self.connected.clear()
            self._on_down()
            await socket.close()
            self._socket = None
            self.counts.closed[socket.close_code or 1006] += 1
            self._gone.set()

    async def _read(self, peer: Any) -> None:
        """The read loop; a frame that the package cannot bear ends the connection, not the charge point."""
        try:
            await peer.start()
        except ConnectionClosed:
            return
        except Exception as failure:  # noqa: BLE001 - whatever the package raises on a strange frame
            self._last_failure = f"read loop ended by {failure!r}"[:200]
            self.counts.refused["unreadable frame"] += 1


def retry_after_s(header: str | None) -> float:
    """Seconds of a Retry-After header, bounded; anything else counts as none."""
    try:
        return min(max(float(header or 0), 0.0), RETRY_AFTER_MAX_S)
    except ValueError:
        return 0.0
