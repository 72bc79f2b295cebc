"""The outside of the gateway for its tests: an application without database, and charge points that can misbehave."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import struct
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from csms.charge_points.charge_point import ChargePoint, password_hash
from csms.gateway.application import SocketInfo
from csms.gateway.client_certificate import CertificateRecord
from csms.gateway.gateway import Gateway
from csms.protocol import vocabulary
from csms.protocol.vocabulary import Registration, TokenStatus, TokenVerdict
from csms.security.event import OwnKind
from csms.settings import Settings

KEY = b"a key of the test installation.."
PASSWORD = b"correct-horse-battery"
SALT = b"salt of the test"


def a_charge_point(identity: str = "CP-1", *, password: bytes | None = PASSWORD, **given: Any) -> ChargePoint:
    hashed = None if password is None else password_hash(password, salt=SALT, key=KEY)
    return ChargePoint(id=identity, site="depot", password_salt=SALT, password_hash=hashed, **given)


def basic(identity: str, password: bytes = PASSWORD) -> str:
    return "Basic " + base64.b64encode(identity.encode() + b":" + password).decode()


@dataclass
class Health:
    available: bool = True


@dataclass
class InMemoryApplication:
    """Remembers what it is told. `gate` closed holds every commit; `failure` is raised instead of one."""

    charge_points: dict[str, ChargePoint] = field(default_factory=dict)
    registrations: dict[str, Registration] = field(default_factory=dict)
    received: list[tuple[SocketInfo, vocabulary.Fact, str]] = field(default_factory=list)
    events: list[tuple[str, str, int]] = field(default_factory=list)
    quarantine: list[tuple[str, str]] = field(default_factory=list)
    seen: list[tuple[str, str, str | None]] = field(default_factory=list)
    deviations: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    unheard_of: list[tuple[str, str]] = field(default_factory=list)
    noted: list[tuple[OwnKind, str, str, str]] = field(default_factory=list)
    records: dict[tuple[bytes, int], CertificateRecord] = field(default_factory=dict)
    failure: Exception | None = None
    quarantine_failure: Exception | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.gate.set()

    def add(self, *charge_points: ChargePoint) -> None:
        for charge_point in charge_points:
            self.charge_points[charge_point.id.casefold()] = charge_point

    def facts(self) -> list[vocabulary.Fact]:
        return [fact for _, fact, _ in self.received]

    async def find(self, identity: str) -> ChargePoint | None:
        return self.charge_points.get(identity.casefold())

    async def on_record(self, issuer: bytes, number: int) -> CertificateRecord | None:
        return self.records.get((issuer, number))

    async def receive(self, socket: SocketInfo, fact: vocabulary.Fact, frame: str) -> vocabulary.Decision:
        if not isinstance(fact, vocabulary.HeartbeatReceived):
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.received.append((socket, fact, frame))
        return self._decide(socket, fact)

    def _decide(  # noqa: PLR0911 - one decision for each kind of fact
        self, socket: SocketInfo, fact: vocabulary.Fact
    ) -> vocabulary.Decision:
        now = datetime.now(UTC)
        accepted = TokenVerdict(status=TokenStatus.ACCEPTED)
        match fact:
            case vocabulary.Booted():
                registration = self.registrations.get(socket.charge_point.id, Registration.ACCEPTED)
                return vocabulary.BootAnswer(registration=registration, now=now, interval_s=300)
            case vocabulary.HeartbeatReceived():
                return vocabulary.TimeAnswer(now=now)
            case vocabulary.TokenPresented():
                return vocabulary.TokenAnswer(verdict=accepted)
            case vocabulary.ChargingEvent(kind=vocabulary.EventKind.STARTED, transaction=None):
                return vocabulary.ChargingAnswer(transaction=next(self.numbers), verdict=accepted)
            case vocabulary.ChargingEvent():
                return vocabulary.ChargingAnswer()
            case vocabulary.VendorDataReceived():
                return vocabulary.VendorDataAnswer()
            case _:
                return vocabulary.Acknowledged()

    async def opened(self, socket: SocketInfo) -> None:
        self.events.append(("opened", socket.id, 0))

    async def closed(self, socket: SocketInfo, code: int, reason: str) -> None:
        del reason
        self.events.append(("closed", socket.id, code))

    def observed(self, socket: SocketInfo, direction: Literal["in", "out"], frame: str, action: str | None) -> None:
        del socket
        if len(self.seen) < 1000:
            self.seen.append((direction, frame, action))

    def noticed(self, kind: OwnKind, *, charge_point: str = "", remote: str = "", info: str = "") -> None:
        self.noted.append((kind, charge_point, remote, info))

    def deviated(self, charge_point: ChargePoint, names: Iterable[str], *, action: str | None, frame: str) -> None:
        del action, frame
        self.deviations.append((charge_point.id, frozenset(map(str, names))))

    def unheard(self, remote: str, why: str) -> None:
        self.unheard_of.append((remote, why))

    async def quarantined(self, socket: SocketInfo, frame: str, reason: str) -> None:
        del socket
        if self.quarantine_failure is not None:
            raise self.quarantine_failure
        self.quarantine.append((frame, reason))


class Station:
    """A charge point's end of a websocket; sends what it is told to, however wrong."""

    def __init__(self, websocket: ClientConnection) -> None:
        self.websocket = websocket
        self.ids = itertools.count(1)

    async def send(self, text: str) -> None:
        await self.websocket.send(text)

    async def receive(self) -> Any:
        async with asyncio.timeout(5):
            return json.loads(await self.websocket.recv())

    async def call(self, action: str, payload: object, message_id: str | None = None) -> Any:
        """Send a call and return the next frame."""
        await self.send(json.dumps([2, message_id or f"cp-{next(self.ids)}", action, payload]))
        return await self.receive()

    async def heartbeat(self) -> None:
        answer = await self.call("Heartbeat", {})
        assert answer[0] == 3, answer
        assert "currentTime" in answer[2]

    async def closed(self, within_s: float = 5) -> int:
        """Wait for the end; the close code that we were sent."""
        async with asyncio.timeout(within_s):
            while True:
                try:
                    await self.websocket.recv()
                except Exception:  # noqa: BLE001 - any way to end is an end
                    break
        received = self.websocket.protocol.close_rcvd
        return received.code if received is not None else 1006


@dataclass
class Running:
    gateway: Gateway
    application: InMemoryApplication
    health: Health
    port: int
    run: asyncio.Task[None]

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ocpp"

    @contextlib.asynccontextmanager
    async def station(
        self,
        identity: str = "CP-1",
        *,
        password: bytes | None = PASSWORD,
        offered: Sequence[str] | None = ("ocpp1.6",),
        **options: Any,
    ) -> AsyncIterator[Station]:
        headers = {} if password is None else {"Authorization": basic(identity, password)}
        options.setdefault("close_timeout", 1)
        async with connect(
            f"{self.url}/{identity}",
            subprotocols=None if offered is None else [Subprotocol(each) for each in offered],
            additional_headers=headers,
            proxy=None,
            **options,
        ) as websocket:
            yield Station(websocket)

    async def http(self, request: bytes) -> tuple[int, dict[str, str], str]:
        """Send raw bytes; status, headers and body of the answer. Status 0: closed without one."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            async with asyncio.timeout(5):
                data = await reader.readuntil(b"\r\n\r\n")
                head = data.decode("latin-1").split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
                body = (
                    ""
                    if head[0].split()[1] == "101"
                    else (await reader.read(int(headers.get("content-length", "0")))).decode()
                )
            return int(head[0].split()[1]), headers, body
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0, {}, ""
        finally:
            writer.close()

    async def handshake(self, path: str, *more: str, without: Sequence[str] = ()) -> tuple[int, dict[str, str], str]:
        """One handshake with header lines `more`, and `without` the usual ones that are named."""
        return await self.http(upgrade_request(path, *more, without=without))

    async def raw(self, identity: str = "CP-1", *more: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """An open websocket as bare streams."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        headers = (f"Authorization: {basic(identity)}", "Sec-WebSocket-Protocol: ocpp1.6", *more)
        writer.write(upgrade_request(f"/ocpp/{identity}", *headers))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        return reader, writer


def upgrade_request(path: str, *more: str, without: Sequence[str] = ()) -> bytes:
    usual = {
        "Host": "csms.example",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
        "Sec-WebSocket-Version": "13",
    }
    lines = [f"{name}: {value}" for name, value in usual.items() if name not in without]
    return ("\r\n".join([f"GET {path} HTTP/1.1", *lines, *more]) + "\r\n\r\n").encode("latin-1")


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True, rsv: int = 0) -> bytes:
    """One websocket frame, as wrong as wanted. The mask is zero, so the payload stands as it is."""
    return frame_head(opcode, len(payload), fin=fin, masked=masked, rsv=rsv) + payload


def frame_head(opcode: int, length: int, *, fin: bool = True, masked: bool = True, rsv: int = 0) -> bytes:
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    mask_bit = 0x80 if masked else 0
    if length < 126:
        head = struct.pack("!BB", first, mask_bit | length)
    elif length < 2**16:
        head = struct.pack("!BBH", first, mask_bit | 126, length)
    else:
        head = struct.pack("!BBQ", first, mask_bit | 127, length)
    return head + (bytes(4) if masked else b"")


async def close_code(reader: asyncio.StreamReader, within_s: float = 5) -> int:
    """The code of the close frame that ends this stream, 1006 if there is none."""
    async with asyncio.timeout(within_s):
        try:
            data = await reader.read()
        except ConnectionError:
            return 1006
    at = data.find(b"\x88")
    return 1006 if at < 0 else struct.unpack("!H", data[at + 2 : at + 4])[0]


@contextlib.asynccontextmanager
async def running(
    *charge_points: ChargePoint,
    application: InMemoryApplication | None = None,
    first_call_delay_s: float = 0,
    **given: Any,
) -> AsyncIterator[Running]:
    """A gateway on a free port. Waits are divided: what takes 10 s in service takes a fraction of a second here."""
    settings = Settings(
        data_dir=Path("/nonexistent"),
        ocpp_host="127.0.0.1",
        ocpp_port=0,
        **{"close_timeout_s": 0.5, "drain_timeout_s": 1, "send_timeout_s": 1, **given},
    )
    application = application or InMemoryApplication()
    application.add(*(charge_points or (a_charge_point(),)))
    health = Health()
    gateway = Gateway(settings, application, KEY, health, first_call_delay_s=first_call_delay_s)
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(gateway.run())
        yield Running(gateway, application, health, await gateway.started(), run)
        await gateway.drain()


async def eventually(claim: Any, within_s: float = 5) -> None:
    """Wait until `claim()` holds."""
    async with asyncio.timeout(within_s):
        while not claim():  # noqa: ASYNC110 - what is waited for has no event to wait on
            await asyncio.sleep(0.01)


def rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
