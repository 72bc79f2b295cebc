"""Do commits work? Watches the real ones and makes its own; knows neither sockets nor what was committed.

A frozen Postgres refuses nothing, it only never answers. So silence counts: what matters is when a commit last
succeeded, while an attempt that was begun since has failed or is still out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Never

import asyncpg
import structlog

from csms.database.migrate import SQL
from csms.database.pool import UNAVAILABLE

log = structlog.get_logger(__name__)


class DatabaseHealth:
    """Run `run()` in a TaskGroup; tell it of commits with `committed()` and `failed()`.

    Until the first probe the database counts as available: the caller has just opened it.
    """

    def __init__(
        self,
        dsn: str,
        *,
        patience_s: float = 5,
        probe_interval_s: float = 1,
        on_change: Callable[[bool], None] | None = None,
    ) -> None:
        """`patience_s`: commits that have not worked for so long make the database unavailable."""
        self._dsn = dsn
        self._patience_s = patience_s
        self._probe_interval_s = min(probe_interval_s, patience_s / 4)
        self._on_change = on_change
        self._connection: asyncpg.Connection[Any] | None = None
        self._succeeded = time.monotonic()
        self._trouble_since: float | None = None
        self._changed = asyncio.Condition()
        self.available = True
        self.last_commit_at: datetime | None = None
        self.unavailable_since: datetime | None = None
        self.last_error: str | None = None

    def committed(self) -> None:
        """A commit went through just now."""
        self._succeeded = time.monotonic()
        self._trouble_since = None
        self.last_commit_at = datetime.now(UTC)
        self.unavailable_since = None
        self.last_error = None

    def failed(self, error: BaseException) -> None:
        """A commit failed for want of a working database; its being slow counts from its begin, see run()."""
        self._note_trouble(str(error) or type(error).__name__)

    async def run(self) -> Never:
        """Probe, and tell of changes, until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._probe_for_ever(), name="database probe")
                tasks.create_task(self._watch(), name="database watch")
        finally:
            self._cut()
        raise AssertionError("both tasks run for ever")

    async def wait_until(self, *, available: bool) -> None:
        """Return when the database is available, or is not."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.available == available)

    def _note_trouble(self, error: str) -> None:
        self.last_error = error
        if self._trouble_since is None:
            # What matters is the last success: the probe makes one every interval while all is well.
            self._trouble_since = self._succeeded
            silent_s = time.monotonic() - self._succeeded
            self.unavailable_since = datetime.now(UTC) - timedelta(seconds=silent_s)

    async def _watch(self) -> Never:
        """Separate from the probe, which may hang as long as it likes."""
        while True:
            down = self._trouble_since is not None and time.monotonic() - self._trouble_since >= self._patience_s
            if down == self.available:
                await self._change(available=not down)
            pause_s = self._patience_s / 20
            begin = time.monotonic()
            await asyncio.sleep(pause_s)
            if time.monotonic() - begin > 3 * pause_s:
                # The whole loop stood still: answers may be waiting in the socket, they come first.
                await asyncio.sleep(pause_s)

    async def _change(self, *, available: bool) -> None:
        self.available = available
        if available:
            log.info("database_available")
        else:
            log.error("database_unavailable", since=self.unavailable_since, error=self.last_error)
        if self._on_change is not None:
            self._on_change(available)
        async with self._changed:
            self._changed.notify_all()

    async def _probe_for_ever(self) -> Never:
        loop = asyncio.get_running_loop()
        while True:
            # The probe is late when it takes longer than it should; then it counts as trouble although it still runs.
            late = loop.call_later(self._probe_interval_s, self._note_trouble, "no answer to a commit")
            cut = loop.call_later(self._patience_s / 2, self._cut)
            try:
                await self._probe()
            except (*UNAVAILABLE, asyncpg.PostgresError) as error:
                self.failed(error)
                self._cut()
            else:
                self.committed()
            finally:
                late.cancel()
                cut.cancel()
            await asyncio.sleep(self._probe_interval_s)

    async def _probe(self) -> None:
        """A commit of its own, on a connection of its own: the pool may be exhausted by what hangs."""
        if self._connection is None:
            self._connection = await asyncpg.connect(
                self._dsn, timeout=self._patience_s / 2, server_settings={"application_name": "csms health"}
            )
        if self._trouble_since is None:
            await SQL.probe_commit.fetchval(self._connection)
            return
        # A full disk lets small commits pass as long as there is room in what is allocated already.
        async with self._connection.transaction():
            await SQL.probe_space_begin.execute(self._connection)
            await SQL.probe_space_end.fetchval(self._connection)

    def _cut(self) -> None:
        """Without good-bye, for which a frozen server would have to be waited."""
        if self._connection is not None:
            with suppress(*UNAVAILABLE):
                self._connection.terminate()
            self._connection = None
