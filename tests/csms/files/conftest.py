from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import trustme
import uvloop
from files_room import Room

from csms.files.server import FileServer
from csms.settings import load_settings
from csms.sites import service as sites


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that `csms serve` runs on."""
    del config, item
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def room(pool: asyncpg.Pool[Any], tmp_path: Path) -> AsyncIterator[Room]:
    """A file endpoint with HTTPS, and one charge point."""
    async with opened(pool, tmp_path) as made:
        yield made


@contextlib.asynccontextmanager
async def opened(pool: asyncpg.Pool[Any], home: Path, **given: Any) -> AsyncIterator[Room]:
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost", "127.0.0.1")
    certificate, key, trust = home / "files.pem", home / "files.key", home / "ca.pem"
    leaf.cert_chain_pems[0].write_to_path(certificate)
    leaf.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(trust)
    settings = load_settings(
        {},
        **{
            "data_dir": home, "files_host": "127.0.0.1", "files_port": 0, "files_cert": (certificate,),
            "files_key": (key,), **given,
        },
    )  # fmt: skip
    async with pool.acquire() as connection:
        await sites.create(
            connection, "harbour", name="Harbour", country="DE", time_zone="Europe/Berlin", currency="EUR"
        )
        await connection.execute("INSERT INTO charge_point (id, site) VALUES ('CP-1', 'harbour')")
    server = FileServer(settings, pool)
    running = asyncio.create_task(server.run_until_stopped())
    await server.listening()
    try:
        yield Room(pool=pool, server=server, trust=trust, home=home, authority=authority)
    finally:
        server.stop()
        async with asyncio.timeout(20):
            await running
