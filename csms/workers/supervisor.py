"""The parent of a server's workers: reserves the ports, starts them, starts those again that die, and stops them all.

It takes no socket of a charge point itself and does no other work, so that nothing but a kill -9 ends it. Then the
workers find their stdin closed, and drain.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from csms.settings import Settings
from csms.workers.order import Order, Ready
from csms.workers.restarts import Restarts

READY_S_MAX = 60.0
STOP_GRACE_S = 10.0
"""Beyond what draining takes: facts that wait for the database are committed, leases are returned."""

OWN = CollectorRegistry()
"""The figures of this process. Those of nodes are counted in workers only: here they would stand at 0."""
RUNNING = Gauge("csms_workers", "Workers that accept sockets", registry=OWN)
RESTARTED = Counter("csms_worker_restarts", "Workers started again after they died", registry=OWN)
ProcessCollector(registry=OWN)

log = structlog.get_logger()


@dataclass(slots=True)
class Worker:
    """One process. `ready` None: it does not accept sockets yet."""

    number: int
    process: asyncio.subprocess.Process
    started_at: float
    ready: Ready | None = None


@contextlib.contextmanager
def reserved(ports: Mapping[str, tuple[str, int]]) -> Iterator[dict[str, int]]:
    """Ports by name of setting, from host and port, 0 for any: bound for the whole time, so that they stay ours.

    Nothing listens on these sockets, so the kernel gives connections to the workers only.
    """
    with contextlib.ExitStack() as stack:
        found = {}
        for name, (host, port) in ports.items():
            bound = stack.enter_context(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET))
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bound.bind((host, port))
            found[name] = bound.getsockname()[1]
        yield found


class Supervisor:
    """`settings` are those of each worker; there are `count` of them."""

    def __init__(self, settings: Settings, dsn: str, *, count: int) -> None:
        self._settings = settings
        self._dsn = dsn
        self._count = count
        self._workers: dict[int, Worker] = {}
        self._stopping = asyncio.Event()
        self._started: Callable[[Ready], None] | None = None
        self.given_up: str | None = None
        """Why all were stopped, where nobody asked for it: one could not be kept alive."""

    def stop(self) -> None:
        """Have all workers drain; `run` returns then."""
        self._stopping.set()

    def reload(self) -> None:
        """Have all workers read the files of TLS again."""
        self._signal(signal.SIGHUP)

    def urls(self) -> dict[str, str]:
        """Where each worker that accepts sockets answers by HTTP, by its number."""
        return {str(number): each.ready.http_url for number, each in sorted(self._workers.items()) if each.ready}

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    async def run(self, *, started: Callable[[Ready], None]) -> None:
        """Until `stop`, or until one is given up; all have ended then. `started`: all accept sockets, as this one does."""
        self._started = started
        try:
            async with asyncio.TaskGroup() as tasks:
                for number in range(1, self._count + 1):
                    tasks.create_task(self._keep(number))
                await self._stopping.wait()
                log.info("stopping_workers", count=len(self._workers))
                await self._end_all()
        finally:
            await self._end_all()

    # --- one worker ---

    async def _keep(self, number: int) -> None:
        restarts = Restarts()
        while not self.stopping:
            status, lived_s = await self._live(number)
            if self.stopping:
                return
            log.error("worker_ended", worker=number, status=status, lived_s=round(lived_s, 1))
            pause_s = restarts.died(lived_s=lived_s) if self._started is None else None
            if pause_s is None:
                how = "at its start" if self._started else "at once, again and again, the last time"
                self.given_up = f"worker {number} ended {how} with {status}"
                self.stop()
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stopping.wait()
            RESTARTED.inc()

    async def _live(self, number: int) -> tuple[str, float]:
        """From its start to its end: how it ended, and how long it lived."""
        worker = await self._start(number)
        await self._until_ready(worker)
        code = await worker.process.wait()
        self._workers.pop(number, None)
        RUNNING.set(len(self.urls()))
        return _status(code), asyncio.get_running_loop().time() - worker.started_at

    async def _start(self, number: int) -> Worker:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "csms.workers.worker"),  # -P: nothing of the directory that we stand in
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        worker = Worker(number, process, asyncio.get_running_loop().time())
        self._workers[number] = worker
        assert process.stdin is not None, "it was asked for"
        order = Order(number=number, settings=self._settings, dsn=self._dsn)
        with contextlib.suppress(ConnectionError):  # it has ended already, and says by its status why
            process.stdin.write(order.model_dump_json().encode() + b"\n")
            await process.stdin.drain()
        if self.stopping:
            process.terminate()
        return worker

    async def _until_ready(self, worker: Worker) -> None:
        assert worker.process.stdout is not None, "it was asked for"
        try:
            async with asyncio.timeout(READY_S_MAX):
                line = await worker.process.stdout.readline()
        except TimeoutError:
            log.error("worker_not_ready", worker=worker.number, within_s=READY_S_MAX)  # noqa: TRY400 - nothing failed here
            worker.process.kill()
            return
        if not line:
            return
        worker.ready = Ready.model_validate_json(line)
        log.info("worker_ready", worker=worker.number, pid=worker.process.pid)
        RUNNING.set(len(self.urls()))
        if self._started is not None and len(self.urls()) == self._count:
            started, self._started = self._started, None
            started(worker.ready)

    # --- all of them ---

    def _signal(self, number: signal.Signals) -> None:
        for each in self._workers.values():
            with contextlib.suppress(ProcessLookupError):
                each.process.send_signal(number)

    async def _end_all(self) -> None:
        """After a failure of one, or of ours: in good order if they can, else not."""
        left = [each.process for each in self._workers.values() if each.process.returncode is None]
        if not left:
            return
        self._signal(signal.SIGTERM)
        patience_s = stop_s_max(self._settings)
        _, late = await asyncio.wait([asyncio.create_task(each.wait()) for each in left], timeout=patience_s)
        if late:
            log.error("workers_killed", count=len(late), after_s=patience_s)
            self._signal(signal.SIGKILL)
            await asyncio.wait(late)


def stop_s_max(settings: Settings) -> float:
    """How long a worker may take to drain before it is killed."""
    return settings.drain_timeout_s + settings.close_timeout_s + settings.database_patience_s + STOP_GRACE_S


def _status(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
