"""What every command needs: the settings, and a connection to the database they name."""

from __future__ import annotations

import getpass
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import click

from csms.database.cluster import Mode, open_cluster
from csms.database.migrate import migrate
from csms.database.pool import connect_once, open_pool
from csms.settings import Settings


@asynccontextmanager
async def database(settings: Settings, mode: Mode) -> AsyncIterator[str]:
    """The DSN: the one that was named, else the embedded Postgres of the data directory, running."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    async with open_cluster(settings.data_dir, mode, wait_s=settings.cluster_wait_s) as dsn:
        yield dsn


@asynccontextmanager
async def connect(context: click.Context) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection for one command, to a database that has our schema."""
    async with database(settings_of(context), "attach_or_own") as dsn:
        await migrate(dsn)
        async with connect_once(dsn) as connection:
            yield connection


@asynccontextmanager
async def open_pool_of(context: click.Context) -> AsyncIterator[asyncpg.Pool[Any]]:
    """As connect(), for what works with a pool."""
    async with database(settings_of(context), "attach_or_own") as dsn:
        await migrate(dsn)
        pool = await open_pool(dsn, size=1, name="csms cli")
        try:
            yield pool
        finally:
            await pool.close()


def settings_of(context: click.Context) -> Settings:
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
