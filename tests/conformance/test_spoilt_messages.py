"""R2: spoilt messages of every action against a server of its own: right answers only, and a neighbour that feels nothing."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from csms.charge_points import service as charge_points
from csms.charge_points.charge_point import ChargePoint
from csms.charge_points.service import Choices
from csms.database.pool import connect_once
from csms.protocol.translator import Refusal, translator
from csms.protocol.vocabulary import Protocol
from tests.conformance.schemas import PROTOCOLS, Filler, incoming
from tests.conformance.spoiling import as_text, spoilt
from tests.conformance.station import Refuse, station
from tests.conformance.verdict import complaint
from tests.faults.world import LONG, installation
from tests.hostile.peers import PATIENCE_S
from tests.hostile.test_abuse_of_the_whole_server import drained, nothing_broke

EXAMPLES = 2000 if LONG else 25
"""Of each action."""
HEARTBEAT_EVERY_S = 0.05
BASELINE = 200
CANARY_P99_MS_MAX = 100.0
BUSY = 3.0
"""On a machine so busy that a neighbour alone waits long, so many times as long as that."""
TEXT_MAX = 300_000
FRAMES_MAX = 100
SILENT = settings(
    max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
FORMS = ("whole",) * 12 + ("without payload", "with more", "without action")


class Attacker:
    """One socket, for one call after the other."""

    def __init__(self, socket: ClientConnection, protocol: Protocol, *, strict: bool) -> None:
        self._socket = socket
        self._protocol = protocol
        self._strict = strict
        self._numbers = count()

    def attack(self, action: str, payload: Any, form: str, *, handled: bool) -> None:
        id_ = f"m{next(self._numbers)}"
        text = as_text(_frame(id_, action, payload, form))
        assume(len(text) <= TEXT_MAX)
        self._socket.send(text)
        wrong = complaint(
            self._protocol, None if form == "without action" else action, text, self._answer(id_),
            strict=self._strict, handled=handled,
        )  # fmt: skip
        assert wrong is None, f"{'strict: ' if self._strict else ''}{wrong} to {text[:2000]}"

    def _answer(self, id_: str) -> Any:
        for _ in range(FRAMES_MAX):
            frame = json.loads(self._socket.recv(timeout=PATIENCE_S))
            if frame[0] == 2:
                self._socket.send(json.dumps([4, frame[1], "NotSupported", "", {}]))
            elif frame[1] == id_:
                return frame
        return None


def _frame(id_: str, action: str, payload: Any, form: str) -> list[Any]:
    match form:
        case "without payload":
            return [2, id_, action]
        case "with more":
            return [2, id_, action, payload, "more"]
        case "without action":
            return [2, id_]
        case _:
            return [2, id_, action, payload]


def _login(identity: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{identity}:{password}".encode()).decode()}


@contextlib.contextmanager
def _attackers(url: str, protocol: Protocol, keys: dict[str, str]) -> Any:
    """The usual charge point and one in strict mode; both accept whatever is asked of them by refusing it."""
    with contextlib.ExitStack() as stack:
        yield [
            Attacker(
                stack.enter_context(
                    connect(
                        f"{url}/{name}", subprotocols=[Subprotocol(protocol)], max_size=None, proxy=None,
                        additional_headers=_login(name, keys[name]),
                    )
                ),
                protocol,
                strict=name == "STRICT",
            )
            for name in ("EVIL", "STRICT")
        ]  # fmt: skip


def _attack_all(url: str, protocol: Protocol, keys: dict[str, str]) -> list[str]:
    """Every action of the version, in a thread of its own; what went wrong."""
    wrong = []
    with _attackers(url, protocol, keys) as attackers:
        for action in incoming(protocol):
            try:
                _attack_with(protocol, action, attackers)
            except Exception as failure:  # noqa: BLE001 - what one action gets wrong must not hide the next one's
                wrong.append(f"{action}: {failure!r:.3000}")
    return wrong


def _attack_with(protocol: Protocol, action: str, attackers: list[Attacker]) -> None:
    whole = Filler({"multiplier": 0}).payload(protocol, action)
    least = Filler({"multiplier": 0}).payload(protocol, action, everything=False)
    handled = _is_handled(protocol, action, whole)

    @SILENT
    @given(st.sampled_from([whole, least]).flatmap(_spoilt), st.sampled_from(FORMS), st.sampled_from(attackers))
    def attack(payload: Any, form: str, attacker: Attacker) -> None:
        attacker.attack(action, payload, form, handled=handled)

    attack()


def _spoilt(payload: Any) -> st.SearchStrategy[Any]:
    return spoilt(payload, wild=True) | st.just(payload)


def _is_handled(protocol: Protocol, action: str, payload: Any) -> bool:
    known = ChargePoint(id="CP-1", site="yard")
    read = translator(protocol).read(action, payload, charge_point=known, received_at=datetime.now(UTC))
    return not (isinstance(read, Refusal) and read.code in {"NotSupported", "NotImplemented"})


async def _commission(dsn: str, data_dir: Path) -> dict[str, str]:
    key = charge_points.load_password_key(data_dir)
    made = {"EVIL": Choices(site="harbour", template=False), "CANARY": Choices(site="harbour", template=False)}
    made["STRICT"] = Choices(site="harbour", template=False, strict=True)
    keys = {}
    async with connect_once(dsn) as connection:
        for name, choices in made.items():
            _, password = await charge_points.create(connection, name, choices, key=key)
            keys[name] = password or ""
    return keys


@dataclass(slots=True)
class Canary:
    """How long its Heartbeats took, in milliseconds: before the attack, and during it."""

    alone_ms: list[float] = field(default_factory=list)
    took_ms: list[float] = field(default_factory=list)

    def told(self) -> str:
        alone = f"{_p99(self.alone_ms):.1f} ms alone, " if self.alone_ms else ""
        return f"{EXAMPLES} examples an action; the canary's p99: {alone}{_p99(self.took_ms):.1f} ms under attack"


@contextlib.asynccontextmanager
async def _canary(url: str, password: str, protocol: Protocol) -> AsyncIterator[Canary]:
    """An honest neighbour; one Heartbeat that is not answered fails the test."""
    canary = Canary()
    async with station(url, "CANARY", password, protocol, answer=lambda *_: Refuse("NotSupported")) as made:

        async def beat(times: int | None = None) -> None:
            for number in count():
                if times is not None and number >= times:
                    return
                asked_at = time.perf_counter()
                answer = await made.call("Heartbeat", {})
                (canary.took_ms if times is None else canary.alone_ms).append((time.perf_counter() - asked_at) * 1000)
                assert answer[0] == 3, answer
                await asyncio.sleep(HEARTBEAT_EVERY_S if times is None else 0)

        if LONG:
            await beat(BASELINE)
        async with asyncio.TaskGroup() as tasks:
            beating = tasks.create_task(beat())
            yield canary
            beating.cancel()


def _p99(values: Collection[float]) -> float:
    return sorted(values)[int(0.99 * len(values))]


# The canary's thread draws from `random` and has a stack of its own; Hypothesis takes both for the attacker's doing.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning")
@pytest.mark.filterwarnings("ignore:The recursion limit:hypothesis.errors.HypothesisWarning")
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_no_spoilt_message_is_answered_wrongly_or_felt_by_a_neighbour(
    database: str, data_home: Path, protocol: Protocol
) -> None:
    async with installation(data_home / "data", dsn=database) as server:
        keys = await _commission(database, server.data_dir)
        async with _canary(server.url, keys["CANARY"], protocol) as canary:
            wrong = await asyncio.to_thread(_attack_all, server.url, protocol, keys)
        await drained(database)
        nothing_broke(server)
    print(canary.told())  # noqa: T201 - a report

    assert wrong == [], "\n".join(wrong)
    assert canary.took_ms
    assert not LONG or _p99(canary.took_ms) <= max(CANARY_P99_MS_MAX, BUSY * _p99(canary.alone_ms))
    assert await _closed_by_crash(database) == 0


async def _closed_by_crash(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM socket WHERE close_code = 1011"))
    finally:
        await connection.close()
