"""Peers that behave as no charge point should, and a look at the server's process."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from csms.database.tools import connection_environment, find_tool
from tests.faults.world import ServerProcess
from tests.programs import STDOUT, start_csms

CALL = 2
PATIENCE_S = 30.0


@contextlib.asynccontextmanager
async def charge_point(
    url: str, identity: str, password: str, protocol: str = "ocpp1.6"
) -> AsyncIterator[ClientConnection]:
    """A websocket with the right credentials, and nothing else that a charge point has."""
    login = base64.b64encode(f"{identity}:{password}".encode()).decode()
    async with connect(
        f"{url}/{identity}",
        subprotocols=[Subprotocol(protocol)],
        additional_headers={"Authorization": f"Basic {login}"},
        max_queue=None,
    ) as socket:
        yield socket


def rss_kb(pid: int) -> int:
    """Resident memory of a process, in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError(f"no process {pid}")


async def ask(socket: ClientConnection, action: str, payload: object, id_: str) -> list[Any]:
    """Send a call; the answer to it. What the server asks meanwhile is refused."""
    await socket.send(json.dumps([2, id_, action, payload]))
    async with asyncio.timeout(PATIENCE_S):
        while True:
            frame: list[Any] = json.loads(await socket.recv())
            if frame[0] == CALL:
                await socket.send(json.dumps([4, frame[1], "NotSupported", "", {}]))
            elif frame[1] == id_:
                return frame


async def csms(server: ServerProcess, *arguments: str) -> str:
    """What a command prints, on stdout and on stderr, and whether it succeeds."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CSMS_")}
    environment |= {"CSMS_DATA_DIR": str(server.data_dir), "CSMS_DATABASE_URL": server.dsn or ""}
    process = await start_csms(*arguments, env=environment, stderr=STDOUT)
    async with asyncio.timeout(PATIENCE_S):
        out, _ = await process.communicate()
    return f"{process.returncode} {out.decode()}"


async def dump(dsn: str) -> str:
    """The whole database as text."""
    program = find_tool("pg_dump")
    assert program is not None
    target, environment = connection_environment(dsn)
    process = await asyncio.create_subprocess_exec(
        str(program), "--inserts", target, env=environment, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()
