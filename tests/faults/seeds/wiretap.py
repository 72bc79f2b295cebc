"""A charge point's end of its wire: counts its message ids as it likes, and sees what the server may not do."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass, field
from typing import Any

from simulators.charge_point.link import Connection
from simulators.faults import MessageFaults

CALL = 2
HOLD_S_MAX = 0.05
"""How long an answer to the server may take: meanwhile it must not ask again."""


@dataclass(slots=True, kw_only=True)
class Wiretap:
    """Of one charge point, for all its connections."""

    name: str
    counts_ids: bool
    faults: MessageFaults
    chance: random.Random
    problems: list[str] = field(default_factory=list)
    asked: int = 0
    """Calls of the server."""

    def wrap(self, connection: Connection) -> Connection:
        """For `Build(wrap=...)`."""
        return self.faults.wrap(_Tapped(connection, self))


class _Tapped:
    """Reads ahead, so that it sees at once what comes."""

    def __init__(self, connection: Connection, tap: Wiretap) -> None:
        self._connection = connection
        self._tap = tap
        self._ids: dict[str, str] = {}  # as they go over the wire -> as the charge point knows them
        self._unanswered: str | None = None
        self._heard: asyncio.Queue[str | BaseException] = asyncio.Queue()
        self._ended: BaseException | None = None
        self._reading = asyncio.create_task(self._read())

    async def send(self, message: str) -> None:
        frame = json.loads(message)
        if frame[0] == CALL:
            own = frame[1]
            # What is doubled keeps its id; what is told again has another one.
            known = next((number for number, each in self._ids.items() if each == own), None)
            frame[1] = known or (str(len(self._ids) + 1) if self._tap.counts_ids else own)
            self._ids[frame[1]] = own
        else:
            await asyncio.sleep(self._tap.chance.random() * HOLD_S_MAX)
            self._unanswered = None
        await self._connection.send(json.dumps(frame, separators=(",", ":")))

    async def recv(self) -> Any:
        if self._ended is not None and self._heard.empty():
            raise self._ended
        heard = await self._heard.get()
        if isinstance(heard, BaseException):
            raise heard
        return heard

    async def _read(self) -> None:
        try:
            while True:
                self._heard.put_nowait(self._take(await self._connection.recv()))
        except Exception as ended:  # noqa: BLE001 - whatever it is, it is for whoever reads
            self._ended = ended
            self._heard.put_nowait(ended)

    def _take(self, message: str) -> str:
        frame = json.loads(message)
        if frame[0] == CALL:
            self._tap.asked += 1
            if self._unanswered is not None:
                self._tap.problems.append(
                    f"{self._tap.name} was asked {frame[2]} before it had answered {self._unanswered}: two CALLs in flight"
                )
            self._unanswered = frame[2]
            return message
        if frame[1] not in self._ids:
            self._tap.problems.append(
                f"{self._tap.name} got an answer on a socket on which it had not asked: {message}"
            )
        frame[1] = self._ids.get(frame[1], frame[1])
        return json.dumps(frame, separators=(",", ":"))
