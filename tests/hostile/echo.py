"""python -m tests.hostile.echo PORT: our listener with all its limits, and an echo behind it, for Autobahn's fuzzing client.

The client (autobahntestsuite, Python 2.7) wants everything back that it sends, which no central system does; handshake,
frames, limits, compression and closing are those of `csms serve`. W1 and W2 are then

    wstest -m fuzzingclient -s spec.json

with {"outdir": "reports", "exclude-cases": ["12.2.3", ...], "cases": ["1.*", ..., "7.*", "10.*"], "servers":
[{"agent": "csms", "url": "ws://127.0.0.1:PORT/ocpp/ECHO", "protocols": ["ocpp1.6"]}]}.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvloop
from websockets.exceptions import ConnectionClosed

from csms.charge_points.charge_point import ChargePoint
from csms.gateway.listener import Listener
from csms.gateway.websocket import ChargePointSocket
from csms.settings import Settings

BYTES_MAX = 17 * 1024 * 1024
"""Autobahn's group 9 sends up to 16 MiB; ours is 1 MiB by default."""


class _Everybody:
    """An application that lets everybody in, without password: the handshake asks no more of it."""

    available = True

    async def find(self, identity: str) -> ChargePoint:
        return ChargePoint(id=identity, site="nowhere", security_profile=0)

    def deviated(self, *_: Any, **__: Any) -> None:
        """Nobody counts here."""

    noticed = deviated


async def echo(socket: ChargePointSocket) -> None:
    socket.allow_message_bytes(BYTES_MAX)
    with contextlib.suppress(ConnectionClosed):
        while True:
            await socket.send(await socket.recv())


@contextlib.asynccontextmanager
async def listening(port: int) -> AsyncIterator[int]:
    """The port, 0 for any, while the block runs."""
    settings = Settings(data_dir=Path("/nonexistent"), ocpp_host="127.0.0.1", ocpp_port=port, close_timeout_s=1)
    everybody: Any = _Everybody()
    listener = Listener(settings, everybody, password_key=b"of nobody", health=everybody, serve_socket=echo)
    await listener.start()
    try:
        yield listener.port
    finally:
        listener.stop_accepting()
        await listener.wait_closed()


async def serve(port: int) -> None:
    async with listening(port) as bound:
        print(f"ws://127.0.0.1:{bound}/ocpp/ECHO", flush=True)  # noqa: T201 - what a script waits for
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
