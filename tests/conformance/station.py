"""A charge point's end of a socket that answers what it is asked as a test tells it to, and counts what it is asked."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from csms.protocol.vocabulary import Protocol

CALL, RESULT, ERROR = 2, 3, 4
PATIENCE_S = 20.0
BOOTS = {
    "ocpp1.6": {"chargePointVendor": "Fictitious", "chargePointModel": "One"},
    "ocpp2.0.1": {"reason": "PowerUp", "chargingStation": {"vendorName": "Fictitious", "model": "Two"}},
}


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with a CALLERROR."""

    code: str
    description: str = ""


class Keep_silent:  # noqa: N801 - read as an order
    """Do not answer."""


class Hang_up:  # noqa: N801 - read as an order
    """Cut the connection instead of an answer."""


Reply = Any
"""The payload of a CALLRESULT, or one of the orders above."""


@dataclass(slots=True)
class Station:
    """`answer` says what comes back to an action and its payload."""

    socket: ClientConnection
    protocol: Protocol
    answer: Callable[[str, Any], Reply]
    pause_s: float = 0
    asked: list[tuple[str, Any]] = field(default_factory=list)
    together_max: int = 0
    """The most calls that were unanswered at any time."""
    _unanswered: int = 0
    _numbers: count[int] = field(default_factory=count)
    _waiting: dict[str, asyncio.Future[list[Any]]] = field(default_factory=dict)

    async def call(self, action: str, payload: Any, id_: str | None = None) -> list[Any]:
        """A call of its own, and the answer as it came."""
        id_ = id_ or f"own-{next(self._numbers)}"
        answer = self._waiting[id_] = asyncio.get_running_loop().create_future()
        await self.socket.send(json.dumps([CALL, id_, action, payload]))
        async with asyncio.timeout(PATIENCE_S):
            return await answer

    async def boot(self) -> None:
        answer = await self.call("BootNotification", BOOTS.get(self.protocol, BOOTS["ocpp2.0.1"]))
        assert answer[2]["status"] == "Accepted", answer

    async def serve(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for text in self.socket:
                frame = json.loads(text)
                if frame[0] == CALL:
                    await self._answer(*frame[1:])
                elif frame[1] in self._waiting:
                    self._waiting.pop(frame[1]).set_result(frame)

    async def _answer(self, id_: str, action: str, payload: Any) -> None:
        self.asked.append((action, payload))
        self._unanswered += 1
        self.together_max = max(self.together_max, self._unanswered)
        if self.pause_s:
            await asyncio.sleep(self.pause_s)
        match self.answer(action, payload):
            case Keep_silent():
                self._unanswered -= 1
                return
            case Hang_up():
                self.socket.transport.abort()
                return
            case Refuse(code, description):
                said: list[Any] = [ERROR, id_, code, description, {}]
            case result:
                said = [RESULT, id_, result]
        self._unanswered -= 1
        await self.socket.send(json.dumps(said))


@contextlib.asynccontextmanager
async def station(
    url: str,
    identity: str,
    password: str,
    protocol: Protocol,
    *,
    answer: Callable[[str, Any], Reply],
    boot: bool = True,
) -> AsyncIterator[Station]:
    """Connected, and accepted where it boots."""
    login = base64.b64encode(f"{identity}:{password}".encode()).decode()
    async with connect(
        f"{url}/{identity}",
        subprotocols=[Subprotocol(protocol)],
        additional_headers={"Authorization": f"Basic {login}"},
        proxy=None,
        max_queue=None,
        close_timeout=1,
    ) as socket:
        made = Station(socket, protocol, answer)
        serving = asyncio.create_task(made.serve())
        try:
            if boot:
                await made.boot()
            yield made
        finally:
            serving.cancel()
            await asyncio.wait({serving})
