"""Databases and clusters that are there before a test asks for them.

A copy of the schema takes a tenth of a second, a new cluster two: the first is made while the test before runs, and dropped
while the next one does; the second is made once and copied.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import os
import queue
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import asyncpg

from csms.database.embedded import EmbeddedPostgres
from csms.database.migrate import migrate

PATIENCE_S: Final = 120


class Databases:
    """Copies of a template, one always ahead, by a thread that has the only connection this takes."""

    def __init__(self, postgres: EmbeddedPostgres, *, template: str) -> None:
        self._dsn = postgres.dsn_of("postgres")
        self._template = template
        self._ready: queue.Queue[str | BaseException] = queue.Queue()
        self._orders: queue.Queue[Callable[[asyncpg.Connection[Any]], Awaitable[None]] | None] = queue.Queue()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._work()), name="databases", daemon=True)
        self._thread.start()
        self._orders.put(self._make)

    def take(self) -> str:
        """The name of a fresh one."""
        self._orders.put(self._make)
        made = self._ready.get(timeout=PATIENCE_S)
        if isinstance(made, BaseException):
            raise made
        return made

    def give_back(self, name: str) -> None:
        """It goes, whoever is still connected."""

        async def drop(connection: asyncpg.Connection[Any]) -> None:
            await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

        self._orders.put(drop)

    def close(self) -> None:
        self._orders.put(None)
        self._thread.join(PATIENCE_S)

    async def _work(self) -> None:
        connection = await asyncpg.connect(self._dsn)
        try:
            while (order := self._orders.get()) is not None:
                try:
                    await order(connection)
                except BaseException as error:
                    self._ready.put(error)
                    raise
        finally:
            await connection.close()

    async def _make(self, connection: asyncpg.Connection[Any]) -> None:
        name = f"test_{uuid4().hex}"
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {self._template} STRATEGY FILE_COPY")
        self._ready.put(name)


def lay_cluster(data_dir: Path) -> None:
    """A cluster with the whole schema into a data directory in which none is, as one that has served before."""
    if (data_dir / "postgres").exists() or (data_dir / "location").exists():
        return
    EmbeddedPostgres.make_data_dir(data_dir)
    subprocess.run(["cp", "-a", str(_laid_ready()), str(data_dir / "postgres")], check=True)  # noqa: S603, S607 - ours


@functools.cache
def _laid_ready() -> Path:
    place = Path(tempfile.mkdtemp(prefix="csms-test-", dir="/tmp"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    if os.geteuid() == 0:
        place.chmod(0o711)

    async def prepare() -> Path:
        cluster = EmbeddedPostgres(place / "ready", fast=True)
        await cluster.start()
        try:
            await migrate(cluster.dsn)
        finally:
            await cluster.stop()
        return cluster.cluster

    worker = threading.Thread(target=lambda: made.append(asyncio.run(prepare())))  # whoever asks may be in a loop
    made: list[Path] = []
    worker.start()
    worker.join()
    return made[0]
