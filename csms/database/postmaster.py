"""What the file postmaster.pid tells about a running Postgres, and how to end one that outlived its supervisor."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

_PID_LINE = 0
_STATUS_LINE = 7


def is_ready(cluster: Path, *, pid: int) -> bool:
    """Does the postmaster with this pid say that it accepts connections?"""
    lines = _lines(cluster)
    return len(lines) > _STATUS_LINE and lines[_PID_LINE] == str(pid) and lines[_STATUS_LINE].startswith("ready")


async def end_predecessor(cluster: Path, *, patience_s: float) -> None:
    """Make way for a new postmaster. The caller holds the lock of the data directory, so nobody needs the old one.

    It was asked to stop when its supervisor died; give it the time, then insist. A pid file that names a zombie or
    another program would keep Postgres from starting, as it only asks whether the pid exists: it is removed.
    """
    lines = _lines(cluster)
    if not lines or not lines[_PID_LINE].isdigit():
        return
    pid = int(lines[_PID_LINE])
    loop = asyncio.get_running_loop()
    begin = loop.time()
    signals = [(signal.SIGINT, begin + patience_s / 2), (signal.SIGQUIT, begin + patience_s)]
    while _works_in(pid, cluster):
        if signals and loop.time() >= signals[0][1]:
            log.warning("old_postgres_stopped", pid=pid, signal=signals[0][0].name)
            os.kill(pid, signals.pop(0)[0])
        if loop.time() >= begin + 2 * patience_s:
            return  # Postgres itself refuses to start beside it and says so
        await asyncio.sleep(0.02)
    if _exists(pid):
        (cluster / "postmaster.pid").unlink(missing_ok=True)


def kill_orphans(cluster: Path) -> None:
    """End what is left of a postmaster that was killed. The caller holds the lock of the data directory.

    A server process that waited for another one when their postmaster died may wait for ever, and keeps the shared
    memory that a new postmaster refuses to share. It has acknowledged nothing that is not on disk.
    """
    for directory in Path("/proc").glob("[0-9]*"):
        pid = int(directory.name)
        if _works_in(pid, cluster):
            log.warning("orphaned_server_process_killed", pid=pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _lines(cluster: Path) -> list[str]:
    try:
        return (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _works_in(pid: int, cluster: Path) -> bool:
    """A live process in the cluster's directory: its postmaster or a child. Without /proc any live one may be it."""
    if not _exists(pid):
        return False
    if not Path("/proc/self/stat").exists():
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z" and Path(f"/proc/{pid}/cwd").readlink() == cluster
    except OSError:
        return False
