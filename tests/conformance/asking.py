"""An operator who asks a charge point by the whole way that commands take, and a charge point that answers as it is told."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from csms.nodes.routing import ask
from csms.protocol.vocabulary import Command, Outcome, Protocol
from tests.conformance.station import Reply, Station, station
from tests.world import World, open_world

TIMEOUT_S = 15.0


@dataclass(slots=True)
class Asker:
    """An operator, and the charge point that is asked."""

    world: World
    name: str
    reply: Reply = None
    station: Station | None = None
    said: Outcome | None = None
    wrong: list[str] = field(default_factory=list)

    async def ask(self, command: Command, timeout_s: float = TIMEOUT_S) -> Outcome:
        return await ask(self.world.connection, self.name, command, actor="operator", timeout_s=timeout_s)

    async def expect(self, action: str, command: Command, reply: Reply, *claim: object) -> None:
        """`claim`: accepted, status, and what the detail must hold, each in full."""
        assert self.station is not None
        self.reply, before = reply, len(self.station.asked)
        self.said = await self.ask(command)
        got = (self.said.accepted, self.said.status, self.said.detail)[: len(claim)]
        if [each for each, _ in self.station.asked[before:]] != [action]:
            self.wrong.append(f"{action}: not asked once: {self.station.asked[before:]}")
        elif got != claim:
            self.wrong.append(f"{action} answered {reply}: {got}, not {claim}")


@contextlib.asynccontextmanager
async def asking(database: str, data_home: Path, protocol: Protocol, **given: Any) -> AsyncIterator[Asker]:
    async with open_world(database, data_home / "data", **given) as world:
        await world.site()
        key = await world.charge_point("CP-1", template=False)
        asker = Asker(world, key.id)
        async with station(
            world.ocpp_url, key.id, key.password, protocol, answer=lambda _action, _payload: asker.reply
        ) as made:
            asker.station = made
            yield asker
