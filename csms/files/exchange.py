"""One HTTP request to the file endpoint: what was asked, and a way to answer that waits for nobody for ever."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PEER = "csms.peer"
"""Where in the scope the connection stands."""


PASSED_OVER_MAX = 4 * 1024 * 1024
LINGER_S = 2.0
"""So long may the rest of a request still come that has been answered."""
RATE_BYTES_PER_S_MIN = 512
"""What a transfer must move on average beyond its first moments; the slowest modems in use do three times as much."""
WAIT_S_MAX = 6 * 3600.0
"""So long in all is the other side waited for: a hundred megabytes at 5 kB/s. What is left comes by another request."""
GONE_S = 5.0
DIGITS_MAX = 15


class Peer(Protocol):
    """The connection, as far as HTTP does not know it."""

    def is_closing(self) -> bool: ...

    def abort(self) -> None: ...


class BrokenOff(Exception):
    """The other side is gone, or has moved nothing for too long."""


class Exchange:
    """`idle_s`: so long may nothing move in the middle of a transfer, or less than the minimum rate.

    Only time that the other side takes counts: neither a slow disk nor a slow database of ours ends a transfer.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, idle_s: float) -> None:
        self.method = str(scope["method"]).upper()
        self.path = str(scope["path"])
        self.headers: Mapping[str, str] = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        client = scope.get("client")
        self.remote: str | None = None if client is None else f"{client[0]}:{client[1]}"
        self._peer: Peer = scope[PEER]
        self._receive = receive
        self._send = send
        self._idle_s = idle_s
        self._is_read = False
        self._waited_s = 0.0
        self._moved = 0

    @property
    def content_length(self) -> int | None:
        """As announced; None where it was not, or by no number."""
        said = self.headers.get("content-length", "")
        return int(said) if said.isascii() and said.isdigit() and len(said) <= DIGITS_MAX else None

    async def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Begin the answer. Each connection carries one exchange: what charge points say of more is not to be trusted."""
        every = {"cache-control": "no-store", "x-content-type-options": "nosniff", **headers, "connection": "close"}
        lines = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in every.items()]
        await self._move(self._send({"type": "http.response.start", "status": status, "headers": lines}))

    async def body(self, data: bytes, *, more: bool) -> None:
        """Raises:
        BrokenOff: nobody takes it.
        """
        if self._peer.is_closing():
            raise BrokenOff("the connection is gone")
        await self._move(self._send({"type": "http.response.body", "body": data, "more_body": more}))
        self._moved += len(data)

    async def say(self, status: int, text: str, **headers: str) -> None:
        """A whole answer of one line, at once; the connection goes when most clients have had it."""
        line = f"{text}\n".encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        await self.head(status, {"content-type": "text/plain", "content-length": str(len(line)), **named})
        await self.body(b"" if self.method == "HEAD" else line, more=True)
        await self._pass_over()
        with contextlib.suppress(BrokenOff):  # all of it has been said
            await self.body(b"", more=False)

    async def read(self) -> AsyncGenerator[bytes]:
        """The body of the request, as it comes.

        Raises:
            BrokenOff: it does not come to an end.
        """
        while True:
            message = await self._move(self._receive())
            if message["type"] == "http.disconnect":
                raise BrokenOff("the connection is gone")
            self._is_read = not message.get("more_body", False)
            data = message.get("body", b"")
            self._moved += len(data)
            if data:
                yield data
            if self._is_read:
                return

    def cut_off(self) -> None:
        """End the connection: whoever reads from it or writes to it finds it broken off."""
        self._peer.abort()

    async def give_up(self) -> None:
        """Nothing right can be said any more: the connection goes, and is gone when this returns."""
        self._peer.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GONE_S):
                while (await self._receive())["type"] != "http.disconnect":
                    pass

    async def _pass_over(self) -> None:
        """Read what is on its way: a client whose connection goes while it sends mostly does not see the answer.

        Not if it waits for permission to send (100-continue), and not for longer than a moment.
        """
        if self._is_read or "expect" in self.headers:
            return
        passed_over = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while passed_over <= PASSED_OVER_MAX:
                    message = await self._receive()
                    passed_over += len(message.get("body", b""))
                    if message["type"] == "http.disconnect" or not message.get("more_body", False):
                        return

    async def _move(self, step: Awaitable[Any]) -> Any:
        clock = asyncio.get_running_loop().time
        began_at = clock()
        try:
            async with asyncio.timeout(self._patience_s()):
                return await step
        except TimeoutError:
            self._peer.abort()
            raise BrokenOff("too slow") from None
        except OSError as trouble:
            raise BrokenOff(str(trouble)) from None
        finally:
            self._waited_s += clock() - began_at

    def _patience_s(self) -> float:
        """How long the next step may take: three limits, of which the first one to be reached counts."""
        by_rate = self._idle_s + self._moved / RATE_BYTES_PER_S_MIN - self._waited_s
        return max(0.0, min(self._idle_s, by_rate, WAIT_S_MAX - self._waited_s))
