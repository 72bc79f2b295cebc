"""What becomes of sockets for which there is no room: they are told to come back later, while there are files for that.

Each has a file open until it is told. What the process needs itself - connections to the database, certificates - is
never to stand behind a crowd at the door, so beyond a few at once they are let go of unheard.
"""

from __future__ import annotations

import asyncio
import resource
from typing import cast

REFUSAL_TIMEOUT_S = 1.0
BEING_TOLD_SHARE = 0.05


class Overflow:
    """Makes what each of them is served by."""

    def __init__(self, retry_after_s: int) -> None:
        self.answer = (
            f"HTTP/1.1 503 Service Unavailable\r\nRetry-After: {retry_after_s}\r\n"
            "Connection: close\r\nContent-Length: 0\r\n\r\n"
        ).encode()
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._at_once_max = max(1, int(limit * BEING_TOLD_SHARE))
        self._being_told: set[asyncio.Protocol] = set()

    def refuse(self) -> asyncio.Protocol:
        return _Refused(self)

    def begin(self, refused: asyncio.Protocol) -> bool:
        """Whether it can be told."""
        if len(self._being_told) >= self._at_once_max:
            return False
        self._being_told.add(refused)
        return True

    def end(self, refused: asyncio.Protocol) -> None:
        self._being_told.discard(refused)


class _Refused(asyncio.Protocol):
    def __init__(self, overflow: Overflow) -> None:
        self._overflow = overflow
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without inheriting from it
        if self._overflow.begin(self):
            self._timer = asyncio.get_running_loop().call_later(REFUSAL_TIMEOUT_S, self._transport.abort)
        else:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        del data  # the request does not matter; answering only after it keeps the peer from seeing a reset
        if not self._transport.is_closing():
            self._transport.write(self._overflow.answer)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._overflow.end(self)
        if self._timer is not None:
            self._timer.cancel()
