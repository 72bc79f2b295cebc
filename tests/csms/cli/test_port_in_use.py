"""`csms serve` where a port is in use: who has it, whose move it is, and when it is worth waiting."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.programs import Program, start_csms


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


async def serve(database: str, directory: Path, taken: socket.socket, *options: object, stderr: int) -> Program:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CSMS_")}
    settings = {"DATABASE_URL": database, "DATA_DIR": directory, "OCPP_HOST": "127.0.0.1", "HTTP_PORT": 0}
    environment |= {f"CSMS_{name}": str(value) for name, value in settings.items()}
    port = taken.getsockname()[1]
    return await start_csms("serve", "--ocpp-port", port, *options, env=environment, stderr=stderr)


def logged(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_a_port_that_somebody_else_has_is_a_conflict_at_once(
    database: str, tmp_path: Path, taken: socket.socket
) -> None:
    with (tmp_path / "log").open("wb") as log:
        program = await serve(database, tmp_path, taken, stderr=log.fileno())
        async with asyncio.timeout(60):
            code = await program.wait()

    [error] = logged(tmp_path / "log")
    assert (code, error["code"]) == (7, "conflict")
    assert error["message"] == f"port {taken.getsockname()[1]} on 127.0.0.1 cannot be used: Address already in use"
    assert error["next"] == "stop what uses it, or choose another one: --ocpp-port"


async def test_a_supervisor_waits_for_a_port_that_the_workers_of_the_one_before_still_have(
    database: str, tmp_path: Path, taken: socket.socket
) -> None:
    port = taken.getsockname()[1]
    with (tmp_path / "log").open("wb") as log:
        program = await serve(database, tmp_path, taken, "--workers", 2, stderr=log.fileno())
        assert program.stdout is not None
        try:
            async with asyncio.timeout(120):
                while not (tmp_path / "log").read_text():  # noqa: ASYNC110 - another process writes it
                    await asyncio.sleep(0.05)
                taken.close()
                ready = json.loads(await program.stdout.readline())
        finally:
            program.send_signal(signal.SIGTERM)
            await program.wait()

    first = logged(tmp_path / "log")[0]
    assert (first["event"], first["port"]) == ("port_awaited", port)
    assert "let go of it by themselves; stop anything else" in first["next_step"]
    assert ready["event"] == "ready"
