"""The reference without the database: csms's own gateway, with an intake that acknowledges at once. Prints its ports.
Handshake, passwords, frames, validation, translation and answers are the real ones; nothing is stored, folded or billed.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from csms import logs
from csms.charge_points.charge_point import ChargePoint, password_hash
from csms.event_loop import Collector, run
from csms.gateway.application import SocketInfo
from csms.gateway.client_certificate import CertificateRecord
from csms.gateway.gateway import Gateway
from csms.protocol.vocabulary import (
    Acknowledged,
    BootAnswer,
    Booted,
    ChargingAnswer,
    ChargingEvent,
    Decision,
    EventKind,
    Fact,
    HeartbeatReceived,
    Registration,
    TimeAnswer,
    TokenStatus,
    TokenVerdict,
)
from csms.security.event import OwnKind
from csms.settings import Settings
from tests.bench.reference import tell_ports
from tests.bench.world import PASSWORD
from tests.ports import free_port

_ACCEPTED = TokenVerdict(status=TokenStatus.ACCEPTED)


class _AlwaysThere:
    available = True


class AtOnce:
    """The gateway's application: knows every charge point, and answers everything without looking anywhere."""

    def __init__(self, key: bytes) -> None:
        self._salt = secrets.token_bytes(16)
        self._hash = password_hash(PASSWORD.encode(), salt=self._salt, key=key)
        self._transactions = itertools.count(1)

    async def find(self, identity: str) -> ChargePoint | None:
        return ChargePoint(
            id=identity, site="bench", password_salt=self._salt, password_hash=self._hash, template=False
        )

    async def on_record(self, issuer: bytes, number: int) -> CertificateRecord | None:
        del issuer, number
        return None

    async def receive(self, socket: SocketInfo, fact: Fact, frame: str) -> Decision:
        del socket, frame
        match fact:
            case HeartbeatReceived():
                return TimeAnswer(now=datetime.now(UTC))
            case Booted():
                return BootAnswer(registration=Registration.ACCEPTED, now=datetime.now(UTC), interval_s=300)
            case ChargingEvent():
                is_asked = fact.kind is EventKind.STARTED and fact.transaction is None
                return ChargingAnswer(
                    transaction=next(self._transactions) if is_asked else None,
                    verdict=None if fact.token is None else _ACCEPTED,
                )
            case _:
                return Acknowledged()

    async def opened(self, socket: SocketInfo) -> None: ...

    async def closed(self, socket: SocketInfo, code: int, reason: str) -> None: ...

    def observed(self, socket: SocketInfo, direction: Literal["in", "out"], frame: str, action: str | None) -> None: ...

    def deviated(self, charge_point: ChargePoint, names: Iterable[str], *, action: str | None, frame: str) -> None: ...

    def unheard(self, remote: str, why: str) -> None: ...

    def noticed(self, kind: OwnKind, *, charge_point: str = "", remote: str = "", info: str = "") -> None: ...

    async def quarantined(self, socket: SocketInfo, frame: str, reason: str) -> None: ...


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.no_database", description=__doc__)
    parser.add_argument("--tls-cert", type=Path)
    parser.add_argument("--tls-key", type=Path)
    return parser.parse_args()


async def _main(given: argparse.Namespace) -> None:
    logs.configure("error")
    tls_port = 0 if given.tls_cert is None else free_port()
    tls = {"tls_port": tls_port, "tls_cert": (given.tls_cert,), "tls_key": (given.tls_key,)} if tls_port else {}
    settings = Settings(ocpp_host="127.0.0.1", ocpp_port=0, **tls)
    key = secrets.token_bytes(32)
    gateway = Gateway(settings, AtOnce(key), key, _AlwaysThere())
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(gateway.run())
        port = await gateway.started()
        Collector().start()
        tell_ports(port, tls_port)


if __name__ == "__main__":
    run(_main(_given()))
