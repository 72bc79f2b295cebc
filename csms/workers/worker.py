"""One worker of a server: a node like any other, on ports that it shares, for as long as its supervisor lives.

Its stdin brings its order, and ends with its supervisor, however that ends.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import structlog

from csms import logs
from csms.app import Running, run_server
from csms.event_loop import Collector, run
from csms.watchdog import Watchdog
from csms.workers.order import Order, Ready, own_version

log = structlog.get_logger()


async def _serve(order: Order) -> None:
    task = asyncio.current_task()
    assert task is not None, "a coroutine that runs has a task"
    stop: Callable[[], object] = task.cancel

    def started(running: Running) -> None:
        nonlocal stop
        stop = running.stop
        Collector().start()
        watchdog.start()
        ready = Ready(ocpp_url=running.ocpp_url, http_url=running.http_url, files_url=running.files_url)
        sys.stdout.write(ready.model_dump_json() + "\n")
        sys.stdout.flush()

    def orphaned() -> None:
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        log.warning("supervisor_gone")
        stop()

    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), orphaned)
    with Watchdog() as watchdog:
        await run_server(order.settings, order.dsn, started=started, handle_signals=True, migrated=True)


def main() -> int:
    """The exit status."""
    order = Order.model_validate_json(sys.stdin.buffer.readline())
    logs.configure(order.settings.log_level)
    structlog.contextvars.bind_contextvars(worker=order.number)
    if order.version != own_version():
        log.error(
            "worker_of_another_version",
            installed=own_version(),
            running=order.version,
            next_step="restart csms serve as a whole",
        )
        return 1
    try:
        run(_serve(order))
    except (Exception, asyncio.CancelledError):
        log.exception("worker_failed")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
