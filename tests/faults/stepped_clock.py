"""A clock on the wall that can be set while the programs run that look at it; the monotonic one goes on as ever.

The library comes in front of the C library, so everything in the process sees it. Needs a C compiler.
"""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import shutil
import signal
import struct
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from csms.database.account import account_for
from csms.database.binaries import find_binaries
from csms.database.embedded import EmbeddedPostgres
from tests.faults.world import until
from tests.ports import free_port

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static volatile int64_t *step_s;

__attribute__((constructor)) static void look_at_step(void) {
    int file = open(getenv("STEPPED_CLOCK"), O_RDONLY);
    if (file < 0) abort();
    step_s = mmap(NULL, sizeof *step_s, PROT_READ, MAP_SHARED, file, 0);
    if (step_s == MAP_FAILED) abort();
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, at);
    if (!result && step_s && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) at->tv_sec += *step_s;
    return result;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    (void)zone;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return result;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


@dataclass(frozen=True, slots=True)
class SteppedClock:
    """Of every program that is started with `environment`."""

    library: Path
    step: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.library), "STEPPED_CLOCK": str(self.step)}

    def set(self, ahead: timedelta) -> None:
        """Of the true time; at once, also in programs that run."""
        with self.step.open("r+b") as file, mmap.mmap(file.fileno(), 8) as memory:
            memory[:] = struct.pack("=q", int(ahead.total_seconds()))


def build(directory: Path) -> SteppedClock:
    """In a directory that everybody may read."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("a clock that can be set needs a C compiler")
    source, clock = directory / "stepped_clock.c", SteppedClock(directory / "stepped_clock.so", directory / "step")
    source.write_text(SOURCE)
    clock.step.write_bytes(bytes(8))
    subprocess.run(  # noqa: S603 - a compiler, and our own source
        [compiler, "-shared", "-fPIC", "-O1", "-o", clock.library, source, "-ldl"], check=True
    )
    clock.step.chmod(0o644)
    clock.library.chmod(0o755)
    return clock


@contextlib.asynccontextmanager
async def postgres(home: Path, clock: SteppedClock) -> AsyncIterator[str]:
    """A Postgres that looks at this clock; the DSN of its database."""
    embedded = EmbeddedPostgres(home, fast=True)
    await embedded.start()
    await embedded.stop()
    rules, port = embedded.home / "pg_hba.conf", free_port()
    rules.write_text("host all all 127.0.0.1/32 trust\n")
    account = account_for(embedded.cluster)
    options = account.process_options()
    options["env"] = options["env"] | clock.environment
    settings = [
        "listen_addresses=127.0.0.1",
        f"port={port}",
        f"hba_file={rules}",
        "unix_socket_directories=",
        "fsync=off",
    ]
    program = find_binaries().reachable_by(account, home=embedded.home).program("postgres")
    with (embedded.home / "postgres.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: ASYNC220, S603 - a fixed program, and uvloop could not change the user
            [program, "-D", embedded.cluster, *(word for each in settings for word in ("-c", each))],
            stdout=log, stderr=subprocess.STDOUT, **options,
        )  # fmt: skip
    dsn = f"postgresql://csms@127.0.0.1:{port}/csms"
    try:
        await until(lambda: _answers(dsn), what="Postgres answers")
        yield dsn
    finally:
        process.send_signal(signal.SIGINT)
        await asyncio.to_thread(process.wait, 30)


async def _answers(dsn: str) -> bool:
    try:
        connection = await asyncpg.connect(dsn)
    except (OSError, asyncpg.PostgresError):
        return False
    await connection.close()
    return True
