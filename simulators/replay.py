"""Replays captured frames against a central system: the captured charge point's calls, with our credentials and ids."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from simulators import schemas
from simulators.capture import (
    CALL,
    CALLERROR,
    CALLRESULT,
    RESULT_LENGTH,
    Captured,
    instants,
    is_call,
    read,
    shifted,
)
from simulators.charge_point.link import HANDSHAKE_FAILURES, Credentials, HandshakeRefusedError, only_loopback

QUIET_S = 0.3  # how long to listen for an answer to a frame whose id cannot be read


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """A call that got no answer in time."""

    line: int
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A call that got a CALLERROR."""

    line: int
    action: str
    code: str
    description: str


@dataclass(slots=True, kw_only=True)
class ReplayReport:
    """What a replay did and saw."""

    identity: str
    sent: int = 0
    answered: int = 0
    connections: int = 0
    refused: list[Refused] = field(default_factory=list)
    unanswered: list[Unanswered] = field(default_factory=list)
    server_calls: Counter[str] = field(default_factory=Counter)
    transactions: dict[int, int] = field(default_factory=dict)  # captured id -> the id our server answered
    closed_by_server: Counter[int] = field(default_factory=Counter)

    @property
    def ok(self) -> bool:
        """Every frame that asks for an answer got a result."""
        return not self.refused and not self.unanswered


class ReplayError(Exception):
    """The central system cannot be reached, or the capture says too little."""


async def replay(
    source: str | Path | Iterable[str | Mapping[str, Any]],
    url: str,
    identity: str | None,
    password: str,
    *,
    speed: float | None = None,
    now: bool = False,
    protocol: str | None = None,
    answer_timeout_s: float = 30.0,
    frames_done: Any = None,
) -> ReplayReport:
    """Send the captured calls in order; the next one leaves when the answer to the last has come.

    ``url`` is without the identity (ws://127.0.0.1:PORT/ocpp). ``speed``: captured seconds per real second; None: as
    fast as answers arrive. ``now``: all plausible timestamps are moved so that the first one is now.
    ``frames_done(done, total)`` is called as it goes.
    """
    only_loopback(url)
    captured = read(source)
    frames = [each for each in captured if each.kind == "frame"]
    if not frames:
        raise ReplayError("the capture holds no frame from a charge point (dir cp->cs)")
    who = identity or next((each.identity for each in captured if each.identity), None)
    if who is None:
        raise ReplayError("the capture names no charge point; give --identity")
    first = next((moment for frame in frames if frame.call for moment in instants(frame.call[3])), None)
    shift = datetime.now(UTC) - first if now and first is not None else timedelta()
    session = Replay(
        credentials=Credentials(url=url, identity=who, password=password),
        protocol=protocol or next((each.protocol for each in captured if each.protocol), None) or "ocpp1.6",
        shift=shift,
        answer_timeout_s=answer_timeout_s,
    )
    done, began, origin = 0, time.monotonic(), captured[0].at_s
    async with session:
        for each in captured:
            if speed is not None:
                due = began + (each.at_s - origin) / speed
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            await session.perform(each)
            if each.kind == "frame":
                done += 1
                if frames_done is not None:
                    frames_done(done, len(frames))
    return session.report


class Replay:
    """The state of one replay: the socket, the answers awaited, the ids learned."""

    def __init__(self, *, credentials: Credentials, protocol: str, shift: timedelta, answer_timeout_s: float) -> None:
        self.report = ReplayReport(identity=credentials.identity)
        self._credentials = credentials
        self._protocol = protocol
        self._shift = shift
        self._answer_timeout_s = answer_timeout_s
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._awaited: dict[str, asyncio.Future[list[Any]]] = {}
        self._heard = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close(1000)

    async def perform(self, captured: Captured) -> None:
        """One line of the capture."""
        match captured.kind:
            case "handshake":
                await self._close(1000)
                await self._open(captured.protocol)
            case "closed":
                await self._close(captured.code)
            case _:
                if self._socket is None or self._socket.close_code is not None:
                    await self._open(captured.protocol)
                await self._send(captured)

    async def _open(self, protocol: str | None) -> None:
        await self._close(1000)
        self._protocol = protocol or self._protocol
        try:
            self._socket = await connect(
                self._credentials.address,
                subprotocols=[Subprotocol(self._protocol)],
                additional_headers=self._credentials.headers,
                compression=None,
                open_timeout=10,
                close_timeout=2,
                proxy=None,
            )
        except HANDSHAKE_FAILURES as failure:
            if isinstance(failure, InvalidStatus) and HandshakeRefusedError.is_final(failure):
                raise HandshakeRefusedError(self._credentials, failure) from None
            raise ReplayError(
                f"{self._credentials.identity} could not connect to {self._credentials.address}: {failure}; "
                "is the server up, and are identity and password right?"
            ) from None
        self.report.connections += 1
        self._reader = asyncio.create_task(self._read(self._socket))

    async def _close(self, code: int) -> None:
        socket, reader = self._socket, self._reader
        self._socket = self._reader = None
        if socket is None or reader is None:
            return
        if socket.close_code is not None:
            self.report.closed_by_server[socket.close_code] += 1
        elif code == 1006:  # noqa: PLR2004 - RFC 6455 7.1.5: the connection went away without a close
            socket.transport.abort()
        await socket.close()
        await asyncio.wait({reader})

    async def _send(self, captured: Captured) -> None:
        self.report.sent += 1
        if captured.call is None:
            await self._send_raw(captured.text or "")
            return
        _, message_id, action, payload = captured.call
        payload = self._ours(action, shifted(payload, self._shift))
        answer = await self._ask(message_id, json.dumps([CALL, message_id, action, payload], separators=(",", ":")))
        if answer is None:
            self.report.unanswered.append(Unanswered(line=captured.line, action=action))
            return
        self.report.answered += 1
        if answer[0] == CALLERROR:
            code, description = ([str(part) for part in answer[2:4]] + ["", ""])[:2]
            self.report.refused.append(
                Refused(line=captured.line, action=action, code=code, description=description[:200])
            )
            return
        ours = answer[2].get("transactionId") if isinstance(answer[2], dict) else None
        if captured.captured_transaction is not None and isinstance(ours, int):
            self.report.transactions[captured.captured_transaction] = ours

    def _ours(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """1.6: the transactionId that our server answered in place of the captured one; 2.0.1 ids are the station's."""
        known = payload.get("transactionId")
        if action in {"StopTransaction", "MeterValues"} and isinstance(known, int):
            return payload | {"transactionId": self.report.transactions.get(known, known)}
        return payload

    async def _ask(self, message_id: str, text: str) -> list[Any] | None:
        """None: no answer in time, or the connection went away."""
        waiting: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._awaited[message_id] = waiting
        try:
            if not await self._put(text) or self._reader is None:
                return None
            either: set[asyncio.Future[Any]] = {waiting, self._reader}
            done, _ = await asyncio.wait(either, timeout=self._answer_timeout_s, return_when=asyncio.FIRST_COMPLETED)
            return waiting.result() if waiting in done else None
        finally:
            self._awaited.pop(message_id, None)
            waiting.cancel()

    async def _put(self, text: str) -> bool:
        if self._socket is None:
            return False
        try:
            async with asyncio.timeout(self._answer_timeout_s):
                await self._socket.send(text)
        except (ConnectionClosed, TimeoutError):
            return False
        return True

    async def _send_raw(self, text: str) -> None:
        """A frame that is no proper CALL: sent as it is; whatever comes back is listened to for a moment."""
        self._heard.clear()
        if await self._put(text):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(QUIET_S, self._answer_timeout_s)):
                    await self._heard.wait()
                    self.report.answered += 1

    async def _read(self, socket: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for text in socket:
                try:
                    frame = json.loads(text)
                except ValueError:
                    continue
                if isinstance(frame, list) and len(frame) >= RESULT_LENGTH:
                    await self._take(socket, frame)

    async def _take(self, socket: ClientConnection, frame: list[Any]) -> None:
        if is_call(frame):
            await self._answer(socket, frame)
            return
        self._heard.set()
        waiting = self._awaited.get(str(frame[1]))
        if waiting is not None and not waiting.done():
            waiting.set_result(frame)

    async def _answer(self, socket: ClientConnection, frame: list[Any]) -> None:
        """Any schema-valid reply; an action that the version does not know gets NotImplemented."""
        _, message_id, action, _payload = frame
        self.report.server_calls[action] += 1
        made = schemas.reply(self._protocol, action)
        answer: list[Any] = [CALLRESULT, message_id, made]
        if made is None:
            answer = [CALLERROR, message_id, "NotImplemented", "", {}]
        await socket.send(json.dumps(answer, separators=(",", ":")))
