"""What goes wrong in a world, and when: a pure function of its seed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

HARD_EVERY: Final = 30
"""Each so many-th world owns its Postgres, which then dies and freezes; the others share one."""
OWN_EVERY: Final = 3
"""Each so many-th world owns its servers, which then die; the network alone strikes the others, and they share one."""


class Fault(StrEnum):
    """What may strike. A network fault strikes one charge point's way to the server."""

    CUT = "cut"
    LOSE_ANSWERS = "lose answers"
    DEAFEN = "deafen"
    FREEZE = "freeze"
    VANISH = "vanish"
    SLOW = "slow"
    REFUSE = "refuse"
    MOVE = "move"
    KILL = "kill server"
    RESTART = "restart server"
    FILES = "no files left"
    DISCONNECT = "disconnect database"
    STALL = "stall commits"
    STALL_AND_KILL = "stall commits, kill server"
    STALL_AND_DISCONNECT = "stall commits, disconnect database"
    OUTAGE = "database outage"
    KILL_WORKER = "kill worker"
    KILL_POSTGRES = "kill postgres"
    FREEZE_POSTGRES = "freeze postgres"


SAID: Final[Mapping[Fault, str]] = {
    Fault.CUT: "reset {who}'s connection",
    Fault.LOSE_ANSWERS: "reset {who}'s connection instead of passing the next answer, {times} times",
    Fault.DEAFEN: "swallow what is sent to {who} for {lasts_s} s, then reset",
    Fault.FREEZE: "hold back everything of {who} for {lasts_s} s, then let it through",
    Fault.VANISH: "{who} comes anew while its old connection is half-open; that one ends {lasts_s} s later",
    Fault.SLOW: "hold each chunk of {who} back for {lasts_s} s from now on",
    Fault.REFUSE: "reset {who}'s connection, and those that it tries, for {lasts_s} s",
    Fault.MOVE: "{who} comes to the other node while its old connection is half-open; that one ends {lasts_s} s later",
    Fault.KILL: "kill -9 node {node}, start it {lasts_s} s later",
    Fault.RESTART: "SIGTERM to node {node}, start it when it has ended",
    Fault.FILES: "no more files for node {node} for {lasts_s} s, all connections reset",
    Fault.DISCONNECT: "terminate all connections to the database",
    Fault.STALL: "no commit ends for {lasts_s} s",
    Fault.STALL_AND_KILL: "no commit ends for {lasts_s} s, and then node {node} is killed -9",
    Fault.STALL_AND_DISCONNECT: "no commit ends for {lasts_s} s, and then all connections to the database are terminated",
    Fault.OUTAGE: "no commit ends for {lasts_s} s, longer than anybody has patience",
    Fault.KILL_WORKER: "kill -9 a worker",
    Fault.KILL_POSTGRES: "kill -9 Postgres",
    Fault.FREEZE_POSTGRES: "SIGSTOP Postgres for {lasts_s} s, longer than anybody has patience",
}

NETWORK: Final[Mapping[Fault, int]] = {
    Fault.CUT: 2,
    Fault.LOSE_ANSWERS: 3,
    Fault.DEAFEN: 2,
    Fault.FREEZE: 2,
    Fault.VANISH: 4,
    Fault.SLOW: 1,
    Fault.REFUSE: 1,
}
OURS: Final[Mapping[Fault, int]] = {
    Fault.KILL: 3,
    Fault.RESTART: 1,
    Fault.FILES: 1,
    Fault.DISCONNECT: 3,
    Fault.STALL: 2,
    Fault.STALL_AND_KILL: 3,
    Fault.STALL_AND_DISCONNECT: 2,
    Fault.OUTAGE: 1,
}
HARD: Final[Mapping[Fault, int]] = {Fault.KILL: 2, Fault.KILL_POSTGRES: 3, Fault.FREEZE_POSTGRES: 2}
LASTS_S: Final[Mapping[Fault, tuple[float, float]]] = {
    Fault.SLOW: (0.002, 0.02),
    Fault.VANISH: (0.2, 1.5),
    Fault.MOVE: (0.2, 1.5),
    Fault.STALL: (0.1, 0.5),
    Fault.STALL_AND_KILL: (0.1, 0.4),
    Fault.STALL_AND_DISCONNECT: (0.1, 0.4),
    Fault.OUTAGE: (2.3, 2.8),
    Fault.FREEZE_POSTGRES: (2.3, 3.0),
}
LASTS_S_USUALLY: Final = (0.1, 0.4)
COSTLY: Final = frozenset({Fault.OUTAGE, Fault.FREEZE_POSTGRES, Fault.KILL_POSTGRES, Fault.FILES, Fault.RESTART})
"""Once in a world is enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """A charge point. `counts_ids`: its message ids begin at 1 with each connection."""

    name: str
    protocol: str
    samples: int
    counts_ids: bool

    def __str__(self) -> str:
        ids = "ids from 1 on" if self.counts_ids else "unique ids"
        return f"{self.name} speaks {self.protocol}, {self.samples} samples a session, {ids}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """A fault, as soon as `after` more transaction messages were answered."""

    after: int
    fault: Fault
    who: int
    node: int
    times: int
    lasts_s: float

    def told(self, stations: tuple[Station, ...]) -> str:
        said = SAID[self.fault].format(
            who=stations[self.who].name, node=self.node, times=self.times, lasts_s=self.lasts_s
        )
        return f"after {self.after:2} more answers: {said}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """All of it. `losses`: how often a message is dropped, doubled, swapped, its answer lost; empty where none is.

    `nodes`: servers on one database; 0: the server that such worlds share. `hard`: a server with a Postgres of its own, and
    with so many workers.
    """

    seed: int
    stations: tuple[Station, ...]
    losses: Mapping[str, float]
    nodes: int
    hard: bool
    workers: int
    strikes: tuple[Strike, ...]

    @property
    def names(self) -> list[str]:
        return [station.name for station in self.stations]

    def __str__(self) -> str:
        place = f"{self.nodes} nodes of its own" if self.nodes else "a server that other worlds use as well"
        if self.hard:
            place = f"a server with a Postgres of its own and {self.workers} workers"
        losses = ", ".join(f"{kind} {rate:.0%}" for kind, rate in self.losses.items()) or "none"
        lines = [f"seed {self.seed}: {place}; messages lost on their way: {losses}"]
        lines += [str(station) for station in self.stations]
        lines += [strike.told(self.stations) for strike in self.strikes]
        return "\n  ".join(lines)


def schedule_of(seed: int) -> Schedule:
    """The same seed, the same schedule, wherever and whenever."""
    chance = random.Random(f"world {seed}")
    hard = seed % HARD_EVERY == 0
    stations = tuple(
        Station(
            name=f"CP-{seed}-{n + 1}",
            protocol=("ocpp1.6", "ocpp2.0.1")[(n + seed) % 2],
            samples=chance.randint(1, 4),
            counts_ids=chance.random() < 0.5,
        )
        for n in range(chance.choice((2, 2, 2, 3)))
    )
    rates = {"drop": 0.04, "duplicate": 0.1, "reorder": 0.04, "lose_answer": 0.05}
    losses = {kind: round(rate * chance.uniform(0.5, 2), 3) for kind, rate in rates.items()}
    is_lossy = chance.random() < 0.5
    nodes = 0 if seed % OWN_EVERY else 1 if hard or chance.random() < 0.8 else 2
    workers = chance.randint(1, 2) if hard else 1
    return Schedule(
        seed=seed,
        stations=stations,
        losses=losses if is_lossy else {},
        nodes=nodes,
        hard=hard,
        workers=workers,
        strikes=_strikes(chance, stations, hard=hard, nodes=nodes, workers=workers),
    )


def _strikes(
    chance: random.Random, stations: tuple[Station, ...], *, hard: bool, nodes: int, workers: int
) -> tuple[Strike, ...]:
    ours = dict(HARD if hard else OURS)
    if workers > 1:
        ours[Fault.KILL_WORKER] = 3
    network = {**NETWORK, **({Fault.MOVE: 6} if nodes > 1 else {})}
    found: list[Strike] = []
    for _ in range(chance.randint(2, 4)):
        weights = ours if nodes and chance.random() < 0.6 else network
        fault = chance.choices(list(weights), list(weights.values()))[0]
        if fault in COSTLY and any(each.fault is fault for each in found):
            fault = Fault.CUT
        found.append(
            Strike(
                after=chance.randint(1, 4),
                fault=fault,
                who=chance.randrange(len(stations)),
                node=chance.randrange(max(nodes, 1)),
                times=chance.randint(1, 3),
                lasts_s=round(chance.uniform(*LASTS_S.get(fault, LASTS_S_USUALLY)), 3),
            )
        )
    return tuple(found)
