"""What worlds have in common: a Postgres, and a database to copy for each."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from csms.charge_points import service as charge_points
from csms.database.embedded import EmbeddedPostgres
from csms.database.migrate import migrate
from tests.faults.seeds.schedule import Schedule
from tests.faults.world import ServerProcess, commission, embedded_dsn, furnish

PASSWORD = "the same for all of them"
CONNECTIONS_MAX = 600
WORLDS_MAX = 10
"""In one database: each is proved whole at the end of every one of them."""
TEMPLATE = "template_seeds"
STALLED = 7_217
"""Whoever holds this advisory lock keeps every commit of facts waiting, at the commit itself."""
STALLING = f"""
CREATE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_xact_lock_shared({STALLED}); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER stall_events AFTER INSERT ON charging_event
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION stall();
CREATE CONSTRAINT TRIGGER stall_readings AFTER INSERT ON reading
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION stall();
"""
SETTINGS: dict[str, Any] = {
    "database_patience_s": 2.0,
    "database_pool_size": 3,
    "node_lease_s": 4.0,
    "projection_interval_s": 1.0,
    "sweep_interval_s": 2.0,
    "log_level": "warning",
}
"""Beyond those of every fault test: many servers share two cores, and each looks less often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Of one world: its servers, and the data directory that they share."""

    data_dir: Path
    nodes: list[ServerProcess]

    @property
    def dsn(self) -> str:
        return self.nodes[0].dsn or embedded_dsn(self.data_dir)


@dataclass(slots=True, kw_only=True)
class _Database:
    name: str
    dsn: str
    worlds: int = 0
    """That have ended in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Each world gets a place of its own on it."""

    home: Path
    postgres: EmbeddedPostgres
    shared: list[Place] = field(default_factory=list)
    """The one of the worlds that share their server, if there was one."""
    _preparing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _databases: list[_Database] = field(default_factory=list)
    """That wait for their next world."""
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @contextlib.asynccontextmanager
    async def place(self, schedule: Schedule) -> AsyncIterator[Place]:
        """With its servers running."""
        if not schedule.nodes:
            yield await self._shared_place(schedule)
            return
        async with (self._hard if schedule.hard else self._usual)(schedule) as place:
            try:
                for node in place.nodes:
                    await node.start()
                if schedule.hard:
                    await commission(place.dsn, place.data_dir, schedule.names, password=PASSWORD, template=False)
                yield place
            finally:
                for node in place.nodes:
                    await end(node)

    async def _shared_place(self, schedule: Schedule) -> Place:
        async with self._preparing:
            if not self.shared:
                dsn = (await self._create()).dsn
                self.shared.append(
                    Place(data_dir=self.home / "data", nodes=[self._server(self.home / "data", dsn=dsn)])
                )
                await self.shared[0].nodes[0].start()
        await commission(self.shared[0].dsn, self.home / "data", schedule.names, password=PASSWORD, template=False)
        return self.shared[0]

    @contextlib.asynccontextmanager
    async def _usual(self, schedule: Schedule) -> AsyncIterator[Place]:
        """In a database in which other worlds may have ended well: to make one takes longer than all else."""
        database = self._databases.pop() if self._databases else await self._create()
        await commission(database.dsn, self.home / "data", schedule.names, password=PASSWORD, template=False)
        nodes = [self._server(self.home / "data", dsn=database.dsn) for _ in range(schedule.nodes)]
        yield Place(data_dir=self.home / "data", nodes=nodes)
        database.worlds += 1
        if database.worlds < WORLDS_MAX:
            self._databases.append(database)
        else:
            await _administer(self.postgres, f"DROP DATABASE {database.name} WITH (FORCE)")

    async def _create(self) -> _Database:
        name = f"seeds_{next(self._numbers)}"
        await _administer(self.postgres, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
        return _Database(name=name, dsn=self.postgres.dsn_of(name))

    @contextlib.asynccontextmanager
    async def _hard(self, schedule: Schedule) -> AsyncIterator[Place]:
        """Its data are those of an installation that was made and furnished once."""
        async with self._preparing:
            if not (self.home / "installation").exists():
                await self._install()
        data_dir = self.home / f"hard_{schedule.seed}"
        copying = await asyncio.create_subprocess_exec("cp", "-a", str(self.home / "installation"), str(data_dir))
        assert await copying.wait() == 0
        place = Place(data_dir=data_dir, nodes=[self._server(data_dir, workers=schedule.workers)])
        try:
            yield place
        finally:
            await asyncio.to_thread(shutil.rmtree, data_dir, ignore_errors=True)

    async def _install(self) -> None:
        data_dir = self.home / "installation.new"
        data_dir.mkdir(mode=0o711)
        shutil.copytree(self.home / "data", data_dir, dirs_exist_ok=True)
        node = self._server(data_dir)
        await node.start()
        try:
            await furnish(embedded_dsn(data_dir))
        finally:
            await node.terminate()
        data_dir.rename(self.home / "installation")

    def _server(self, data_dir: Path, dsn: str | None = None, **given: Any) -> ServerProcess:
        return ServerProcess(data_dir=data_dir, dsn=dsn, given={**SETTINGS, **given})


async def end(node: ServerProcess) -> None:
    if node.runs:
        await node.terminate()
    node.log_path.unlink(missing_ok=True)


def _home() -> Path:
    """Below /tmp, and passable: as root Postgres runs as another account."""
    home = Path(tempfile.mkdtemp(prefix="csms-seeds-", dir="/tmp"))
    if os.geteuid() == 0:
        home.chmod(0o711)
    return home


@contextlib.asynccontextmanager
async def open_ground() -> AsyncIterator[Ground]:
    home = _home()
    postgres = EmbeddedPostgres(home / "shared", fast=True, connections_max=CONNECTIONS_MAX)
    try:
        await postgres.start()
        (home / "data").mkdir()
        await _prepare(postgres, home / "data")
        ground = Ground(home=home, postgres=postgres)
        try:
            yield ground
        finally:
            for place in ground.shared:
                await end(place.nodes[0])
    finally:
        await postgres.stop()
        shutil.rmtree(home, ignore_errors=True)


async def _prepare(postgres: EmbeddedPostgres, data_dir: Path) -> None:
    """The database that is copied: furnished, with all charge points that there may be."""
    await _administer(postgres, f"CREATE DATABASE {TEMPLATE} TEMPLATE template0")
    dsn = postgres.dsn_of(TEMPLATE)
    await migrate(dsn)
    await furnish(dsn)
    charge_points.load_password_key(data_dir)
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(STALLING)
    finally:
        await connection.close()


async def _administer(postgres: EmbeddedPostgres, statement: str) -> None:
    connection = await asyncpg.connect(postgres.dsn_of("postgres"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
