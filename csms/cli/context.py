"""What every command needs: the settings, and a connection to the database they name.

What that takes is imported when a command runs: one that only says what it is for needs none of it.
"""

from __future__ import annotations

import getpass
import os
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from billing import CliError, ExitCode

if TYPE_CHECKING:
    import asyncpg

    from csms.database.cluster import Mode
    from csms.settings import Settings

MAY_BE_FIRST = frozenset({"certificate authority create", "policy set", "site create", "tariff create", "token issue"})
"""What an operator may enter on a fresh machine before `csms serve`: these make the installation that they do not find."""


@asynccontextmanager
async def database(settings: Settings, mode: Mode, *, may_create: bool = False) -> AsyncIterator[str]:
    """The DSN: the one that was named, else the embedded Postgres of the data directory, running.

    A data directory that holds no installation is most likely mistyped: only with `may_create` one is made there.
    """
    from csms.database.cluster import open_cluster  # noqa: PLC0415
    from csms.workers.division import connections_needed  # noqa: PLC0415

    if settings.database_url is not None:
        yield settings.database_url
        return
    _require_place(settings.data_dir, may_create=may_create)
    needed = connections_needed(settings)
    async with open_cluster(settings.data_dir, mode, wait_s=settings.cluster_wait_s, connections_max=needed) as dsn:
        yield dsn


@asynccontextmanager
async def connect(context: click.Context) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection for one command, to a database that has our schema."""
    from csms.database.migrate import migrate  # noqa: PLC0415
    from csms.database.pool import connect_once  # noqa: PLC0415

    async with database(settings_of(context), "attach_or_own", may_create=_may_be_first(context)) as dsn:
        await migrate(dsn)
        async with connect_once(dsn) as connection:
            yield connection


@asynccontextmanager
async def migrated_database(context: click.Context) -> AsyncIterator[str]:
    """The DSN of a database that has our schema, for a command that opens what it needs itself."""
    from csms.database.migrate import migrate  # noqa: PLC0415

    async with database(settings_of(context), "attach_or_own") as dsn:
        await migrate(dsn)
        yield dsn


@asynccontextmanager
async def open_pool_of(context: click.Context, *, size: int = 1) -> AsyncIterator[asyncpg.Pool[Any]]:
    """As connect(), for what works with a pool."""
    from csms.database.pool import open_pool  # noqa: PLC0415

    async with migrated_database(context) as dsn:
        pool = await open_pool(dsn, size=size, name="csms cli")
        try:
            yield pool
        finally:
            await pool.close()


def _may_be_first(context: click.Context) -> bool:
    return " ".join(context.command_path.split()[1:]) in MAY_BE_FIRST


def _require_place(data_dir: Path, *, may_create: bool) -> None:
    """Say what is wrong with a data directory before anything is started or made in it.

    Raises:
        CliError: it is no directory, belongs to another account, or holds no installation.
    """
    elsewhere = "name another place with --data-dir or CSMS_DATA_DIR"
    if data_dir.exists() and not data_dir.is_dir():
        raise CliError(f"{data_dir} is no directory", elsewhere, ExitCode.USAGE)
    place = next(each for each in (data_dir, *data_dir.absolute().parents) if each.exists())
    lock = data_dir / "cluster.lock"
    if not os.access(place, os.R_OK | os.W_OK | os.X_OK) or (lock.exists() and not os.access(lock, os.R_OK | os.W_OK)):
        raise CliError(
            f"{data_dir} is not this account's to use", f"run as the account it belongs to, or {elsewhere}",
            ExitCode.PERMISSION,
        )  # fmt: skip
    if not may_create and not _holds_installation(data_dir):
        named = shlex.quote(str(data_dir))
        raise CliError(
            f"no installation in {data_dir}",
            f"csms serve --data-dir {named} or csms db migrate --data-dir {named} makes one; if it is elsewhere, {elsewhere}",
            code="no_installation",
        )


def _holds_installation(data_dir: Path) -> bool:
    """A cluster, or a note of where it was put; or a server is just making one."""
    from csms.database.cluster import owner_of  # noqa: PLC0415

    return any((data_dir / each).exists() for each in ("postgres", "location")) or owner_of(data_dir) is not None


def settings_of(context: click.Context) -> Settings:
    from csms.settings import Settings  # noqa: PLC0415

    settings = context.find_object(Settings)
    assert settings is not None
    return settings


def default_actor() -> str:
    """Who gives the command, for the logs that keep it: CSMS_ACTOR, else the account's name."""
    said = settings_of(click.get_current_context()).actor
    try:
        return said or getpass.getuser()
    except (KeyError, OSError):  # an account that has only a number, as in some containers
        return f"uid {os.getuid()}"
