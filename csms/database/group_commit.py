"""Many small facts, one transaction: what arrives while a commit is under way is committed together by the next one.
Knows neither facts nor SQL; the flush that it is given does.

There is no timer: an idle system commits at once, a busy one in large batches. The result of `submit` is there only
after the commit, in which the item may have been repeated (a commit whose answer was lost): the flush has to find a
repeat by its content and give it the first answer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import structlog

from csms.database.errors import DatabaseUnavailable
from csms.database.pool import is_unavailable, retrying

log = structlog.get_logger(__name__)

T = TypeVar("T")
R = TypeVar("R")

_PAUSE_S_MIN = 0.02
_PAUSE_S_MAX = 0.5


class CommitObserver(Protocol):
    """Is told how commits go; DatabaseHealth is one."""

    def committed(self) -> None: ...

    def failed(self, error: BaseException) -> None: ...


@dataclass(slots=True)
class _Waiting(Generic[T, R]):
    item: T
    answer: asyncio.Future[R]


class GroupCommit(Generic[T, R]):
    """Run `run()` in a TaskGroup; `submit()` from anywhere; `close()` to drain.

    Items are flushed in the order in which `submit` was called, one flush at a time.
    """

    def __init__(
        self,
        flush: Callable[[list[T]], Awaitable[list[R | Exception]]],
        *,
        batch_max: int = 500,
        pending_max: int = 5000,
        patience_s: float = 5,
        observer: CommitObserver | None = None,
    ) -> None:
        """`flush` commits a batch and answers each item, or raises and has committed nothing.

        `patience_s`: how long a batch is tried again while the database is unavailable, and the longest flush.
        """
        self._flush = flush
        self._batch_max = batch_max
        self._patience_s = patience_s
        self._observer = observer
        self._slots = asyncio.Semaphore(pending_max)
        self._queue: deque[_Waiting[T, R]] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._down = False

    @property
    def pending(self) -> int:
        """Items that wait for the next flush."""
        return len(self._queue)

    async def submit(self, item: T) -> R:
        """The answer to the item, after its commit. Waits while `pending_max` items are unanswered.

        A caller that is cancelled leaves its item behind: it is committed nevertheless.

        Raises:
            DatabaseUnavailable: it was not committed, or nobody knows; submitting it again is right.
            Exception: what the flush said about this one item.
        """
        await self._slots.acquire()
        if self._closing:
            self._slots.release()
            raise DatabaseUnavailable("the server is stopping", next_step="send it again after the restart")
        waiting = _Waiting[T, R](item, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._wake.set()
        return await waiting.answer

    async def close(self) -> None:
        """Take no more; `run()` ends when what was taken is answered."""
        self._closing = True
        self._wake.set()

    async def run(self) -> None:
        """Flush until closed and drained."""
        batch: list[_Waiting[T, R]] = []
        try:
            while True:
                await self._wake.wait()
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), self._batch_max))]
                if batch:
                    await self._commit(batch)
                    batch = []
                elif self._closing:
                    return
                else:
                    self._wake.clear()
        finally:
            self._closing = True
            self._refuse([*batch, *self._take_all()], DatabaseUnavailable("the server has stopped"))

    async def _commit(self, batch: list[_Waiting[T, R]]) -> None:
        """Answer every item of the batch, whatever happens."""
        try:
            answers = await self._patiently(batch)
        except Exception as error:  # noqa: BLE001 - it belongs to the waiters, and the next batch must go on
            if is_unavailable(error) or isinstance(error, DatabaseUnavailable):
                self._down = True
                unavailable = DatabaseUnavailable(f"the database cannot commit: {error or type(error).__name__}")
                unavailable.__cause__ = error
                # Those in the queue have waited as long: everybody is told at once.
                self._refuse([*batch, *self._take_all()], unavailable)
            elif len(batch) == 1:
                log.warning("item_not_committed", error=repr(error))
                self._refuse(batch, error)
            else:
                middle = len(batch) // 2
                await self._commit(batch[:middle])
                await self._commit(batch[middle:])
        else:
            self._down = False
            for waiting, answer in zip(batch, answers, strict=True):
                self._give(waiting, answer)

    async def _patiently(self, batch: list[_Waiting[T, R]]) -> list[R | Exception]:
        """Flush, again and again while the database is unavailable, until patience ends.

        Once it has ended, batches are tried once each until one succeeds.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (0 if self._down else self._patience_s)
        pause_s = _PAUSE_S_MIN
        while True:
            try:
                answers = await retrying(lambda: self._flush_once(batch))
            except Exception as error:
                if not is_unavailable(error):
                    raise
                if self._observer is not None:
                    self._observer.failed(error)
                if loop.time() + pause_s >= deadline:
                    raise
                log.warning("flush_retried", items=len(batch), error=str(error) or type(error).__name__)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _PAUSE_S_MAX)
            else:
                if self._observer is not None:
                    self._observer.committed()
                return answers

    async def _flush_once(self, batch: list[_Waiting[T, R]]) -> list[R | Exception]:
        items = [waiting.item for waiting in batch]
        async with asyncio.timeout(self._patience_s):
            answers = await self._flush(items)
        assert len(answers) == len(items), f"flush answered {len(answers)} of {len(items)} items"
        return answers

    def _take_all(self) -> list[_Waiting[T, R]]:
        taken = list(self._queue)
        self._queue.clear()
        return taken

    def _refuse(self, waiters: list[_Waiting[T, R]], error: Exception) -> None:
        for waiting in waiters:
            self._give(waiting, error)

    def _give(self, waiting: _Waiting[T, R], answer: R | Exception) -> None:
        if waiting.answer.done():
            if not waiting.answer.cancelled():
                return  # answered in a part of its batch
        elif isinstance(answer, Exception):
            waiting.answer.set_exception(answer)
        else:
            waiting.answer.set_result(answer)
        self._slots.release()
