"""Long work on a thread of its own: whoever answers charge points on the main loop is not kept waiting for it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

T = TypeVar("T")
END_TIMEOUT_S: Final = 5.0


async def beside(work: Callable[[], Awaitable[T]]) -> T:
    """Run `work` on an event loop of a thread of its own: what it needs of a database it opens there.

    Cancelled, it is cancelled there, and waited for a moment.
    """
    here = asyncio.get_running_loop()
    done: asyncio.Future[T] = here.create_future()
    there: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []
    stopped = threading.Event()

    async def inner() -> T:
        task = asyncio.current_task()
        assert task is not None, "a coroutine of a loop runs in a task"
        there.append((asyncio.get_running_loop(), task))
        if stopped.is_set():
            raise asyncio.CancelledError
        return await work()

    def run() -> None:
        with contextlib.suppress(RuntimeError):  # the main loop is gone: nobody wants to know any more
            try:
                result = asyncio.run(inner())
            except BaseException as trouble:  # noqa: BLE001 - whatever it was, whoever waits for it is told
                here.call_soon_threadsafe(_fail, done, trouble)
            else:
                here.call_soon_threadsafe(_finish, done, result)

    thread = threading.Thread(target=run, name="csms-office", daemon=True)
    thread.start()
    try:
        return await done
    finally:
        stopped.set()
        for loop, task in there:
            with contextlib.suppress(RuntimeError):  # it has ended
                loop.call_soon_threadsafe(task.cancel)
        if thread.is_alive():
            await asyncio.to_thread(thread.join, END_TIMEOUT_S)


def _finish(done: asyncio.Future[T], result: T) -> None:
    if not done.done():
        done.set_result(result)


def _fail(done: asyncio.Future[Any], trouble: BaseException) -> None:
    if done.done():
        return
    if isinstance(trouble, asyncio.CancelledError):
        done.cancel()
    else:
        done.set_exception(trouble)
