"""Many small facts, one transaction: what arrives while a commit is under way is committed together by the next one.
Knows neither facts nor SQL; the flush that it is given does.

An idle system commits at once, a busy one in large batches. Where more waits than one batch takes,
what ranks first goes first, never past an earlier item of its own owner. The result of `submit` is there only after the
commit, in which the item may have been repeated (a commit whose answer was lost): the flush has to find a
repeat by its content and give it the first answer.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import structlog

from csms.database import metrics
from csms.database.errors import DatabaseUnavailable
from csms.database.pool import is_unavailable

log = structlog.get_logger(__name__)

T = TypeVar("T")
R = TypeVar("R")

_PAUSE_S_MIN = 0.02
_PAUSE_S_MAX = 0.5
CROWD = 10
"""Items that are enough to be flushed without a rest."""
_OLDEST_SHARE = 0.2
"""Of a batch, for what has waited longest whatever its rank: nobody is put off for ever."""


class CommitObserver(Protocol):
    """Is told how commits go; DatabaseHealth is one."""

    def committed(self) -> None: ...

    def failed(self, error: BaseException) -> None: ...


@dataclass(slots=True)
class _Waiting(Generic[T, R]):
    item: T
    answer: asyncio.Future[R]
    rank: int
    owner: Hashable
    since: float = field(default_factory=time.monotonic)


def first_of(waiting: Sequence[tuple[int, Hashable]], most: int) -> list[int]:
    """Which of these, each by rank and owner, go into a batch of at most so many: their places, in their order. Pure.

    The lower the rank the sooner; what stands before a lower one of the same owner goes as soon as that one. The rest
    of the batch, a fifth at least, is for those that have waited longest.
    """
    if len(waiting) <= most:
        return list(range(len(waiting)))
    lowest: dict[Hashable, int] = {}
    ranks = [0] * len(waiting)
    for place in range(len(waiting) - 1, -1, -1):
        rank, owner = waiting[place]
        ranks[place] = lowest[owner] = min(rank, lowest.get(owner, rank))
    by_rank = sorted(range(len(waiting)), key=ranks.__getitem__)
    chosen = set(by_rank[: most - int(most * _OLDEST_SHARE)])
    for place in range(len(waiting)):
        if len(chosen) == most:
            break
        chosen.add(place)
    return sorted(chosen)


class GroupCommit(Generic[T, R]):
    """Run `run()` in a TaskGroup; `submit()` from anywhere; `close()` to drain.

    One flush at a time. Items of one owner and one rank are flushed in the order in which `submit` was called, and
    those of different ranks too where the owner submits one after the other's answer.
    """

    def __init__(
        self,
        flush: Callable[[list[T]], Awaitable[list[R | Exception]]],
        *,
        of: str = "facts",
        batch_max: int = 500,
        pending_max: int = 5000,
        patience_s: float = 5,
        gap_s: float = 0,
        observer: CommitObserver | None = None,
        rank: Callable[[T], int] = lambda _item: 0,
        owner: Callable[[T], Hashable] = lambda _item: None,
    ) -> None:
        """`flush` commits a batch and answers each item, or raises and has committed nothing. Conflicts are its to retry.

        `of`: what the items are, for the figures.
        `patience_s`: how long a batch is tried again while the database is unavailable, and the longest flush.
        `gap_s`: from where one flush begins to where the next does, at least, while few wait: a crowd that trickles in
        shares flushes, who comes alone waits for nobody.
        `pending_max`: of each rank, so that a crowd of one keeps none of another waiting outside.
        """
        self._flush = flush
        self._of = of
        self._batch_max = batch_max
        self._patience_s = patience_s
        self._gap_s = gap_s
        self._observer = observer
        self._rank = rank
        self._owner = owner
        self._slots: defaultdict[int, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(pending_max))
        self._queue: list[_Waiting[T, R]] = []
        self._wake = asyncio.Event()
        self._crowded = asyncio.Event()
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
        rank = self._rank(item)
        await self._slots[rank].acquire()
        if self._closing:
            self._slots[rank].release()
            raise DatabaseUnavailable("the server is stopping", next_step="send it again after the restart")
        waiting = _Waiting[T, R](item, asyncio.get_running_loop().create_future(), rank, self._owner(item))
        self._queue.append(waiting)
        self._wake.set()
        if len(self._queue) == CROWD:
            self._crowded.set()
        return await waiting.answer

    async def close(self) -> None:
        """Take no more; `run()` ends when what was taken is answered."""
        self._closing = True
        self._wake.set()
        self._crowded.set()

    async def run(self) -> None:
        """Flush until closed and drained."""
        batch: list[_Waiting[T, R]] = []
        loop = asyncio.get_running_loop()
        try:
            while True:
                await self._wake.wait()
                batch = self._take_batch()
                if batch:
                    next_at = loop.time() + self._gap_s
                    await self._commit(batch)
                    batch = []
                    await self._rest(until=next_at)
                elif self._closing:
                    return
                else:
                    self._wake.clear()
        finally:
            self._closing = True
            self._refuse([*batch, *self._take_all()], DatabaseUnavailable("the server has stopped"))

    async def _rest(self, *, until: float) -> None:
        """By the loop's clock, and only while few wait and nobody drains."""
        if self._gap_s and len(self._queue) < CROWD and not self._closing:
            self._crowded.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._crowded.wait()

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
            self._observe(batch)
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
                answers = await self._flush_once(batch)
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

    def _take_batch(self) -> list[_Waiting[T, R]]:
        if len(self._queue) <= self._batch_max:
            return self._take_all()
        chosen = set(first_of([(each.rank, each.owner) for each in self._queue], self._batch_max))
        batch = [each for place, each in enumerate(self._queue) if place in chosen]
        self._queue = [each for place, each in enumerate(self._queue) if place not in chosen]
        return batch

    def _take_all(self) -> list[_Waiting[T, R]]:
        taken, self._queue = self._queue, []
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
        self._slots[waiting.rank].release()

    def _observe(self, batch: Sequence[_Waiting[T, R]]) -> None:
        """Of each rank the item that has waited longest: to look at each would cost more than it tells."""
        metrics.commit_items(self._of).observe(len(batch))
        metrics.commit_waiting(self._of).set(len(self._queue))
        oldest: dict[int, float] = {}
        for each in batch:
            oldest.setdefault(each.rank, each.since)
        now = time.monotonic()
        for rank, since in oldest.items():
            metrics.commit_wait(self._of, rank).observe(now - since)
