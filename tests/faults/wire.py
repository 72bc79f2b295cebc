"""A raw OCPP-J socket: what goes over it is the test's business. Answers calls of the server as it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.typing import Subprotocol

from simulators.charge_point import Credentials, stamp
from tests.faults.world import TOKEN

CALL, RESULT = 2, 3
ANSWER_S_MAX = 20.0
AGAIN_S = 0.1


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back to a call: its payload, or the code of a CALLERROR."""

    payload: dict[str, Any]
    error: str | None = None


class Wire:
    """Calls may be sent without waiting for the answers of earlier ones."""

    def __init__(self, socket: ClientConnection, *, handshake_s: float) -> None:
        self.socket = socket
        self.handshake_s = handshake_s
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {}
        self._waiting: dict[str, list[asyncio.Future[Reply]]] = {}
        self._numbers = count(1)
        self._reading = asyncio.create_task(self._read())

    async def call(self, action: str, payload: dict[str, Any], *, id_: str | None = None) -> Reply:
        """One call and its answer.

        Raises:
            ConnectionClosed: the socket was closed before it came.
        """
        return await (await self.send(action, payload, id_=id_))

    async def send(self, action: str, payload: dict[str, Any], *, id_: str | None = None) -> asyncio.Future[Reply]:
        """Only send; the answer comes in the future."""
        id_ = id_ or str(next(self._numbers))
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        reply.add_done_callback(lambda done: done.cancelled() or done.exception())  # may be of no interest
        self._waiting.setdefault(id_, []).append(reply)
        await self.socket.send(json.dumps([CALL, id_, action, payload]))
        return reply

    async def closed(self) -> int | None:
        """Wait for the end; the close code."""
        async with asyncio.timeout(ANSWER_S_MAX):
            await self._reading
        return self.socket.close_code

    async def _read(self) -> None:
        try:
            while True:
                await self._take(json.loads(await self.socket.recv()))
        except ConnectionClosed as closed:
            for replies in self._waiting.values():
                for reply in replies:
                    if not reply.done():
                        reply.set_exception(closed)

    async def _take(self, frame: list[Any]) -> None:
        if frame[0] == CALL:
            _, id_, action, payload = frame
            self.asked.append((action, payload))
            answer = self.answers.get(action)
            said = [RESULT, id_, answer(payload)] if answer else [4, id_, "NotImplemented", "", {}]
            await self.socket.send(json.dumps(said))
            return
        waiting = self._waiting.get(frame[1])
        assert waiting, f"an answer to nothing: {frame}"
        reply = Reply(frame[2]) if frame[0] == RESULT else Reply({}, error=str(frame[2]))
        asked = waiting.pop(0)
        if not asked.done():  # whoever asked may have been cancelled
            asked.set_result(reply)


@contextlib.asynccontextmanager
async def wire(
    url: str, identity: str, password: str, protocol: str = "ocpp1.6", **options: Any
) -> AsyncIterator[Wire]:
    """An open socket of a charge point. `options` are the websocket's."""
    credentials = Credentials(url=url, identity=identity, password=password)
    loop = asyncio.get_running_loop()
    begin = loop.time()
    socket = await connect(
        credentials.address,
        subprotocols=[Subprotocol(protocol)],
        additional_headers=credentials.headers,
        compression=None,
        close_timeout=1,
        ping_interval=None,
        proxy=None,
        **options,
    )
    opened = Wire(socket, handshake_s=loop.time() - begin)
    try:
        yield opened
    finally:
        await socket.close()
        await opened._reading


@contextlib.asynccontextmanager
async def wire_at_last(
    url: str, identity: str, password: str, protocol: str = "ocpp1.6", *, refused: Counter[str], **options: Any
) -> AsyncIterator[Wire]:
    """As `wire`, without patience: who is not let in tries again at once. `refused`: how often, by status or failure."""
    async with contextlib.AsyncExitStack() as opening:
        while True:
            try:
                opened = await opening.enter_async_context(wire(url, identity, password, protocol, **options))
            except InvalidStatus as status:
                refused[str(status.response.status_code)] += 1
            except (InvalidMessage, OSError, TimeoutError) as failure:
                refused[type(failure).__name__] += 1
            else:
                break
            await asyncio.sleep(AGAIN_S)
        yield opened


async def boot(station: Wire) -> Reply:
    """BootNotification in the socket's version; calls to the charge point wait for it a while."""
    about: dict[str, Any] = {"chargePointVendor": "Fictitious Chargers", "chargePointModel": "Simulated"}
    if station.socket.subprotocol == "ocpp2.0.1":
        maker = {"vendorName": "Fictitious Chargers", "model": "Simulated"}
        about = {"reason": "PowerUp", "chargingStation": maker}
    return await station.call("BootNotification", about)


# --- 1.6 messages ----------------------------------------------------------------------------------------------------


def start_16(at: datetime, *, meter_wh: int = 1000, connector: int = 1, token: str = TOKEN) -> dict[str, Any]:
    return {"connectorId": connector, "idTag": token, "meterStart": meter_wh, "timestamp": stamp(at)}


def stop_16(transaction: int, at: datetime, *, meter_wh: int = 6000) -> dict[str, Any]:
    return {"transactionId": transaction, "meterStop": meter_wh, "timestamp": stamp(at), "reason": "Local"}


def meter_values_16(transaction: int, at: datetime, *, meter_wh: int) -> dict[str, Any]:
    sample = {"value": str(meter_wh), "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
    return {
        "connectorId": 1,
        "transactionId": transaction,
        "meterValue": [{"timestamp": stamp(at), "sampledValue": [sample]}],
    }


# --- 2.0.1 messages --------------------------------------------------------------------------------------------------

_CONTEXT = {"Started": "Transaction.Begin", "Updated": "Sample.Periodic", "Ended": "Transaction.End"}


def event_201(kind: str, seq_no: int, at: datetime, *, meter_wh: int, transaction: str) -> dict[str, Any]:
    """A TransactionEvent with a register reading."""
    sample = {"value": meter_wh, "measurand": "Energy.Active.Import.Register", "context": _CONTEXT[kind]}
    event: dict[str, Any] = {
        "eventType": kind,
        "timestamp": stamp(at),
        "triggerReason": {"Started": "Authorized", "Updated": "MeterValuePeriodic", "Ended": "StopAuthorized"}[kind],
        "seqNo": seq_no,
        "transactionInfo": {"transactionId": transaction, "chargingState": "Charging"},
        "evse": {"id": 1, "connectorId": 1},
        "meterValue": [{"timestamp": stamp(at), "sampledValue": [sample]}],
    }
    if kind != "Updated":
        event["idToken"] = {"idToken": TOKEN, "type": "ISO14443"}
    if kind == "Ended":
        event["transactionInfo"] = {"transactionId": transaction, "stoppedReason": "Local"}
    return event
