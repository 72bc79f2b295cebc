"""A small central system for the simulators' own tests: real sockets, the `ocpp` package's peer, and switchable rudeness."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from ocpp.exceptions import InternalError
from ocpp.v16 import ChargePoint as Peer16
from ocpp.v16 import call_result as result16
from ocpp.v201 import ChargePoint as Peer201
from ocpp.v201 import call_result as result201
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

NOW = "2026-03-02T08:00:00.000Z"


@dataclass
class CentralSystem:
    """Keeps what it heard. ``mood`` per action: a list of answers to give first ("error", "silent", "cut")."""

    heard: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)  # identity, action, payload
    message_ids: list[str] = field(default_factory=list)
    mood: dict[str, list[str]] = field(default_factory=dict)
    refuse: list[tuple[int, str | None]] = field(default_factory=list)  # handshakes: status, Retry-After
    peers: dict[str, Any] = field(default_factory=dict)
    sockets: dict[str, ServerConnection] = field(default_factory=dict)
    password: str = "a-password-of-20-chars"
    unknown_tokens: set[str] = field(default_factory=set)
    next_transaction: int = 7001
    starts: dict[str, int] = field(default_factory=dict)
    total_cost: float | None = None
    url: str = ""
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def payloads(self, action: str) -> list[dict[str, Any]]:
        return [payload for _, heard, payload in self.heard if heard == action]

    def actions(self) -> list[str]:
        return [action for _, action, _ in self.heard]

    def handshake(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.refuse:
            status, retry_after = self.refuse.pop(0)
            response = connection.respond(HTTPStatus(status), "refused\n")
            if retry_after is not None:
                response.headers["Retry-After"] = retry_after
            return response
        identity = request.path.rsplit("/", 1)[-1]
        expected = "Basic " + base64.b64encode(f"{identity}:{self.password}".encode()).decode()
        if request.headers.get("Authorization") != expected:
            return connection.respond(HTTPStatus.UNAUTHORIZED, "who are you?\n")
        return None

    async def talk(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        identity = connection.request.path.rsplit("/", 1)[-1]
        self.sockets[identity] = connection
        old = connection.subprotocol == "ocpp1.6"
        peer = (Peer16 if old else Peer201)(identity, Watched(connection, self, identity), response_timeout=5)
        answers = self.answers_16() if old else self.answers_201()
        peer.route_map = {
            action: {"_on_action": answer, "_skip_schema_validation": False} for action, answer in answers.items()
        }
        self.peers[identity] = peer
        self.arrived.set()
        with contextlib.suppress(ConnectionClosed):
            await peer.start()

    def answers_16(self) -> dict[str, Any]:
        return {
            "BootNotification": lambda **_: result16.BootNotification(current_time=NOW, interval=60, status="Accepted"),
            "Heartbeat": lambda **_: result16.Heartbeat(current_time=NOW),
            "StatusNotification": lambda **_: result16.StatusNotification(),
            "Authorize": lambda id_tag, **_: result16.Authorize(id_tag_info=self.token(id_tag)),
            "MeterValues": lambda **_: result16.MeterValues(),
            "StartTransaction": self.start,
            "StopTransaction": lambda **_: result16.StopTransaction(),
        }

    def token(self, token: str) -> dict[str, str]:
        return {"status": "Invalid" if token in self.unknown_tokens else "Accepted"}

    def start(self, id_tag: str, timestamp: str, **_: Any) -> Any:
        if timestamp not in self.starts:
            self.starts[timestamp] = self.next_transaction
            self.next_transaction += 1
        return result16.StartTransaction(transaction_id=self.starts[timestamp], id_tag_info=self.token(id_tag))

    def event(self, id_token: dict[str, Any] | None = None, **_: Any) -> Any:
        info = None if id_token is None else self.token(id_token["id_token"])
        return result201.TransactionEvent(total_cost=self.total_cost, id_token_info=info)

    def answers_201(self) -> dict[str, Any]:
        return {
            "BootNotification": lambda **_: result201.BootNotification(
                current_time=NOW, interval=60, status="Accepted"
            ),
            "Heartbeat": lambda **_: result201.Heartbeat(current_time=NOW),
            "ReservationStatusUpdate": lambda **_: result201.ReservationStatusUpdate(),
            "StatusNotification": lambda **_: result201.StatusNotification(),
            "Authorize": lambda id_token, **_: result201.Authorize(id_token_info=self.token(id_token["id_token"])),
            "MeterValues": lambda **_: result201.MeterValues(),
            "NotifyReport": lambda **_: result201.NotifyReport(),
            "TransactionEvent": self.event,
        }


class Watched:
    """The connection as the peer sees it: writes down what comes, and obeys the mood."""

    def __init__(self, connection: ServerConnection, central: CentralSystem, identity: str) -> None:
        self.connection, self.central, self.identity = connection, central, identity

    async def send(self, message: str) -> None:
        await self.connection.send(message)

    async def recv(self) -> str:
        while True:
            text = str(await self.connection.recv())
            if await self.let_through(text):
                return text

    async def let_through(self, text: str) -> bool:
        try:
            frame = json.loads(text)
        except ValueError:
            self.central.heard.append((self.identity, "broken", {"text": text}))
            return False
        if frame[0] != 2:
            return True
        self.central.heard.append((self.identity, frame[2], frame[3]))
        self.central.message_ids.append(frame[1])
        moods = self.central.mood.get(frame[2])
        match moods.pop(0) if moods else "well":
            case "error":
                error = InternalError()
                await self.connection.send(json.dumps([4, frame[1], error.code, "", {}]))
                return False
            case "silent":
                return False
            case "cut":
                self.connection.transport.abort()
                return False
        return True


@contextlib.asynccontextmanager
async def central_system() -> AsyncIterator[CentralSystem]:
    central = CentralSystem()
    server: Server = await serve(
        central.talk,
        "127.0.0.1",
        0,
        process_request=central.handshake,
        subprotocols=[Subprotocol("ocpp1.6"), Subprotocol("ocpp2.0.1")],
        compression=None,
        close_timeout=1,
    )
    async with server:
        port = next(iter(server.sockets)).getsockname()[1]
        central.url = f"ws://127.0.0.1:{port}/ocpp"
        yield central
        server.close()
        await asyncio.sleep(0)
