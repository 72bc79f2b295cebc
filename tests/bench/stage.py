"""Where a case is measured: databases and servers as it asks for them, and where its figures go."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from csms.database.cluster import open_cluster
from csms.database.pool import connect_once
from csms.settings import Settings
from csms.workers.division import connections_needed
from tests.bench.cases import Bench
from tests.bench.certificate import Certificate
from tests.bench.figures import Figures
from tests.bench.plan import Plan
from tests.bench.processes import MB, csms_server, family, memory, parent_of, reference_server
from tests.bench.world import Login, provision

ECHO, NO_DATABASE = "tests.bench.echo", "tests.bench.no_database"
REFERENCES = {ECHO: "echo ", NO_DATABASE: "no database "}
"""The reference servers, and how the names of their figures begin."""
_UNSETTLED = "SELECT EXISTS (SELECT FROM session_due) OR EXISTS (SELECT FROM rating_due)"
_SETTLED_S_MAX = 300
_LOOK_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A Postgres with charge points, on which servers can be started."""

    stage: Stage
    data_dir: Path
    dsn: str
    postmaster: int
    """Its pid."""
    logins: Sequence[Login]

    @asynccontextmanager
    async def csms(
        self,
        *,
        workers: int = 1,
        ports: Sequence[int] = (0, 0),
        cores: frozenset[int] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Bench]:
        """`csms serve` with a plain port and one of TLS, on the server's core unless said."""
        stage = self.stage
        async with csms_server(
            cores or frozenset({stage.figures.cores.server}),
            data_dir=self.data_dir, dsn=self.dsn, certificate=stage.certificate, ports=ports, workers=workers,
            settings=settings,
        ) as server:  # fmt: skip
            yield Bench(
                server=server,
                logins=self.logins,
                connections=stage.plan.connections,
                seconds=stage.plan.seconds,
                trusting=stage.certificate.trusting,
                final_bills=self.final_bills,
            )

    async def final_bills(self) -> int:
        async with connect_once(self.dsn) as connection:
            count: int = await connection.fetchval("SELECT count(*) FROM bill WHERE kind = 'final'")
        return count

    async def settled(self) -> None:
        """Until the server has looked at everything that it was told of sessions."""
        async with asyncio.timeout(_SETTLED_S_MAX), connect_once(self.dsn) as connection:
            while await connection.fetchval(_UNSETTLED):  # noqa: ASYNC110 - what is awaited lies in another process
                await asyncio.sleep(_LOOK_S)

    def note_memory(self, case: str, bench: Bench) -> None:
        """Of all processes; what the processes of Postgres share is counted once."""
        self.stage.figures.add(case, "RSS MB", bench.server.memory.rss / MB)
        self.stage.figures.add(case, "Postgres PSS MB", memory(family(self.postmaster)).pss / MB)
        self.stage.figures.add(case, "load RSS MB", memory([os.getpid()]).rss / MB)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What every case has. `say` is told what is under way."""

    plan: Plan
    figures: Figures
    certificate: Certificate
    say: Callable[[str], None]

    @asynccontextmanager
    async def installation(self, charge_points: int, *, workers: int = 1) -> AsyncIterator[Installation]:
        """A new one, with so many charge points, and connections enough for so many workers."""
        connections_max = connections_needed(Settings(workers=workers))
        with tempfile.TemporaryDirectory(prefix="csms-bench-") as directory:
            os.chmod(directory, 0o711)  # noqa: PTH101, S103 - as root, Postgres runs as another account, which has to pass
            data_dir = Path(directory)
            async with open_cluster(data_dir, "own", connections_max=connections_max) as dsn:
                logins = await provision(dsn, data_dir, charge_points)
                async with connect_once(dsn) as connection:
                    postmaster = parent_of(await connection.fetchval("SELECT pg_backend_pid()"))
                yield Installation(stage=self, data_dir=data_dir, dsn=dsn, postmaster=postmaster, logins=logins)

    @asynccontextmanager
    async def reference(self, module: str, logins: Sequence[Login], *, deflate: bool = False) -> AsyncIterator[Bench]:
        """ECHO or NO_DATABASE, for the same charge points."""
        async with reference_server(
            module, self.figures.cores.server, certificate=self.certificate, deflate=deflate
        ) as server:
            yield Bench(
                server=server,
                logins=logins,
                connections=self.plan.connections,
                seconds=self.plan.seconds,
                trusting=self.certificate.trusting,
                is_echo=module == ECHO,
            )
