"""A real Postgres for every test that wants one: one cluster per worker, one fresh database per test."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import structlog
from structlog._config import BoundLoggerLazyProxy

pytest.register_assert_rewrite("tests.world")  # whoever imports it first

from csms.database.embedded import EmbeddedPostgres  # noqa: E402 - after the line that explains assertions
from csms.database.migrate import migrate  # noqa: E402
from csms.database.pool import open_pool  # noqa: E402
from tests.databases import Databases  # noqa: E402

HERE = Path(__file__).parent
LONG = os.environ.get("CSMS_TEST_LONG") == "1"


ON_DISK, IN_MEMORY = Path("/tmp"), Path("/dev/shm")  # noqa: S108 - every account may go there, also that of Postgres
ROOM_BYTES = 8 * 1024**3
"""Two clusters with their logs of up to a gigabyte, four times over: a database is copied and dropped for each test."""
LONGEST = ("faults/test_seeds.py", "month/", "faults/", "hostile/", "csms/cli/", "bench/")
"""Below tests/: what takes long begins first, so that no process is left alone with it at the end."""


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False  # it would begin with the files that have the most tests


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest first; full counts only with CSMS_TEST_LONG=1: each has a shorter twin that always runs."""
    items.sort(key=_rank)
    slow = [item for item in items if item.get_closest_marker("slow")]
    if LONG or not slow or config.option.markexpr:
        return
    items[:] = [item for item in items if item not in slow]
    config.hook.pytest_deselected(items=slow)


def _rank(item: pytest.Item) -> int:
    place = item.path.relative_to(HERE).as_posix()
    return next((rank for rank, start in enumerate(LONGEST) if place.startswith(start)), len(LONGEST))


def pytest_report_header() -> str:
    return "counts and lengths: " + ("full" if LONG else "reduced; CSMS_TEST_LONG=1 runs the full ones, marked slow")


@pytest.fixture(scope="session", autouse=True)
def no_settings_from_outside() -> None:
    """CSMS_TEST_LONG has been read by now, and is no setting of csms; neither does a developer's own one count here."""
    for name in [each for each in os.environ if each.startswith("CSMS_")]:
        del os.environ[name]


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """The command line sets up the logs of its process, which here is everybody's."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        if structlog.is_configured():
            structlog.reset_defaults()
            _forget_where_to_write()
        root.handlers, root.level = handlers, level


def _forget_where_to_write() -> None:
    """A logger that was used while logs were set up has kept what it was set up with: a stream that is no more."""
    for module in list(sys.modules.values()):
        if isinstance(logger := getattr(module, "log", None), BoundLoggerLazyProxy):
            vars(logger).pop("bind", None)


@pytest.fixture
def data_home() -> Iterator[Path]:
    """A directory for the data of an embedded Postgres.

    Not tmp_path: pytest keeps that to one user, and as root Postgres runs as another one.
    """
    yield from directory_for_everybody()


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The cluster of this worker; without fsync, so durability is tested elsewhere."""
    for directory in directory_for_everybody():
        cluster = EmbeddedPostgres(directory, fast=True)
        asyncio.run(cluster.start())
        try:
            yield cluster
        finally:
            asyncio.run(cluster.stop())


@pytest.fixture(scope="session")
def migrated_template(postgres: EmbeddedPostgres) -> str:
    """The name of a database with the whole schema and no rows, to be copied."""

    async def prepare() -> None:
        await _administer(postgres, "CREATE DATABASE template_csms TEMPLATE template0")
        await migrate(postgres.dsn_of("template_csms"))

    asyncio.run(prepare())
    return "template_csms"


@pytest.fixture(scope="session")
def databases(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[Databases]:
    """Copies of it."""
    made = Databases(postgres, template=migrated_template)
    yield made
    made.close()


@pytest.fixture
def database(postgres: EmbeddedPostgres, databases: Databases) -> Iterator[str]:
    """The DSN of a fresh, migrated database, as its owner."""
    name = databases.take()
    try:
        yield postgres.dsn_of(name)
    finally:
        databases.give_back(name)


@pytest.fixture
async def empty_database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """The DSN of a fresh database without any table."""
    async for dsn in _fresh_database(postgres, template="template0"):
        yield dsn


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    """A pool on `database` that acts as the application does."""
    opened = await open_pool(database, size=4, name="test")
    try:
        yield opened
    finally:
        opened.terminate()


def _place() -> Path:
    """In memory, where there is enough: files that come and go cost ten times more on a disk. The long run is on disk."""
    if LONG or not IN_MEMORY.is_dir() or shutil.disk_usage(IN_MEMORY).free < ROOM_BYTES:
        return ON_DISK
    return IN_MEMORY


def directory_for_everybody() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="csms-test-", dir=_place()))
    if os.geteuid() == 0:
        directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


async def _fresh_database(postgres: EmbeddedPostgres, *, template: str) -> AsyncIterator[str]:
    name = f"test_{uuid4().hex}"
    await _administer(postgres, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    try:
        yield postgres.dsn_of(name)
    finally:
        await _administer(postgres, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def _administer(postgres: EmbeddedPostgres, statement: str) -> None:
    connection = await asyncpg.connect(postgres.dsn_of("postgres"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
