"""One HTTP request to the file endpoint: what was asked, and a way to answer that waits for nobody for ever."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PEER = "csms.peer"
"""Where in the scope the connection stands."""


PASSED_OVER_MAX = 4 * 1024 * 1024
GONE_S = 5.0
DIGITS_MAX = 15


class Peer(Protocol):
    """The connection, as far as HTTP does not know it."""

    def is_closing(self) -> bool: ...

    def abort(self) -> None: ...


class BrokenOff(Exception):
    """The other side is gone, or has moved nothing for too long."""


class Exchange:
    """`idle_s`: so long may nothing move in the middle of a transfer."""

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

    async def say(self, status: int, text: str, **headers: str) -> None:
        """A whole answer of one line, once most clients are ready to read it."""
        await self._pass_over()
        line = f"{text}\n".encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        await self.head(status, {"content-type": "text/plain", "content-length": str(len(line)), **named})
        await self.body(b"" if self.method == "HEAD" else line, more=False)

    async def read(self) -> AsyncIterator[bytes]:
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
            if data:
                yield data
            if self._is_read:
                return

    async def give_up(self) -> None:
        """Nothing right can be said any more: the connection goes, and is gone when this returns."""
        self._peer.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GONE_S):
                while (await self._receive())["type"] != "http.disconnect":
                    pass

    async def _pass_over(self) -> None:
        """Read what is on its way: a client that is answered while it sends mostly sees a broken connection only.

        Not if it waits for permission to send (100-continue), and not for ever.
        """
        if self._is_read or "expect" in self.headers:
            return
        passed_over = 0
        async for data in self.read():
            passed_over += len(data)
            if passed_over > PASSED_OVER_MAX:
                return

    async def _move(self, step: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(self._idle_s):
                return await step
        except TimeoutError:
            self._peer.abort()
            raise BrokenOff(f"nothing has moved for {self._idle_s:g} s") from None
        except OSError as trouble:
            raise BrokenOff(str(trouble)) from None
