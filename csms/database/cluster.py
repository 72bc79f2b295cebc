"""Who owns the embedded Postgres of a data directory, and how everybody else gets at it. Knows no schema.

The file `cluster.lock` is locked (flock) by the owner as long as it lives and says who that is. The kernel lets go of
it however the owner dies, so a stale one does not exist.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import orjson

from csms.database.embedded import CONNECTIONS_MAX, EmbeddedPostgres
from csms.database.errors import ClusterInUse

Mode = Literal["own", "attach_or_own"]

_POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """What the lock file says of the process that runs the cluster."""

    pid: int
    shared: bool
    """A server lets commands attach; a command keeps its cluster to itself, as it ends soon."""
    dsn: str | None = None
    """Set once connections are accepted."""


@asynccontextmanager
async def open_cluster(
    data_dir: Path,
    mode: Mode,
    *,
    wait_s: float = 10,
    fast: bool = False,
    connections_max: int = CONNECTIONS_MAX,
) -> AsyncIterator[str]:
    """The DSN of the running embedded Postgres of `data_dir`, which takes `connections_max` at least if we start it.

    `own` starts it, lets others attach, and never attaches itself. `attach_or_own` attaches to the one of such an
    owner, else starts it for its own duration. Both wait `wait_s` for another process to let go.

    Raises:
        ClusterInUse: naming the pid of the process that did not let go.
        PostgresNotStarted: it did not come up.
    """
    with _lock_file(data_dir) as lock:
        attached = await _take(lock, data_dir, attach=mode == "attach_or_own", wait_s=wait_s)
        if attached is not None:
            yield attached
            return
        _declare(lock, Owner(pid=os.getpid(), shared=mode == "own"))
        cluster = EmbeddedPostgres(data_dir, fast=fast, connections_max=connections_max)
        async with _running(cluster):
            _declare(lock, Owner(pid=os.getpid(), shared=mode == "own", dsn=cluster.dsn))
            try:
                yield cluster.dsn
            finally:
                _declare(lock, Owner(pid=os.getpid(), shared=False))


def owner_of(data_dir: Path) -> Owner | None:
    """The process that runs the cluster at this moment, if any does."""
    path = data_dir / "cluster.lock"
    if not path.exists():
        return None
    with path.open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read(lock.fileno())
    return None


@asynccontextmanager
async def _running(cluster: EmbeddedPostgres) -> AsyncIterator[None]:
    try:
        await cluster.start()
        watch = asyncio.create_task(cluster.supervise(), name="postgres supervisor")
        try:
            yield
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
    finally:
        await cluster.stop()


@contextmanager
def _lock_file(data_dir: Path) -> Iterator[int]:
    try:
        if not data_dir.exists():
            EmbeddedPostgres.make_data_dir(data_dir)
        lock = os.open(data_dir / "cluster.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except PermissionError as error:
        raise ClusterInUse(
            f"{data_dir} belongs to another user ({error.strerror})",
            pid=None,
            next_step="run as that user, or name another place with --data-dir or CSMS_DATA_DIR",
        ) from None
    try:
        yield lock
    finally:
        os.close(lock)


async def _take(lock: int, data_dir: Path, *, attach: bool, wait_s: float) -> str | None:
    """None when the lock is ours now, else the DSN of the owner's cluster."""
    deadline = asyncio.get_running_loop().time() + wait_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _read(lock)
        else:
            return None
        if attach and owner is not None and owner.shared and owner.dsn is not None:
            return owner.dsn
        if asyncio.get_running_loop().time() >= deadline:
            pid = None if owner is None else owner.pid
            raise ClusterInUse(
                f"the database in {data_dir} is in use by the process with pid {pid}",
                pid=pid,
                next_step="wait for it or stop it, or name another place with --data-dir or CSMS_DATA_DIR",
            )
        await asyncio.sleep(_POLL_S)


def _declare(lock: int, owner: Owner) -> None:
    text = orjson.dumps(asdict(owner))
    os.ftruncate(lock, 0)
    os.pwrite(lock, text, 0)


def _read(lock: int) -> Owner | None:
    """None while the owner is just writing it."""
    try:
        return Owner(**orjson.loads(os.pread(lock, 4096, 0)))
    except (orjson.JSONDecodeError, TypeError):
        return None
