"""The queue of transaction messages: in order, kept while offline, retried, and thrown away as real stacks do.

OCPP 1.6 section 3.7 and 2.0.1 E13.FR.01-04; the counting follows what stacks in the field do: an error answer and a
time-out are failed attempts, a lost connection is not; each retry has a new message id; the wait grows with the attempt.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ocpp.exceptions import OCPPError

from simulators.charge_point.truth import Discarded, Told, Truth

QUEUE_MAX = 100_000


class LinkDown(Exception):
    """The connection is gone; the message counts as not tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """TransactionMessageAttempts and TransactionMessageRetryInterval. Intervals are real seconds, times the attempt."""

    attempts: int = 3
    interval_s: float = 60.0


@dataclass(slots=True, kw_only=True)
class Message:
    """A transaction message. It is built when sent: a 1.6 stop knows its transaction id only once the start is answered."""

    action: str
    build: Callable[[], Any]
    answered: Callable[[Any], None]
    about: Callable[[], int | str | None]  # the transaction id as known now
    made_at: datetime
    discarded: Callable[[], None] | None = None
    attempts: int = 0


class Outbox:
    """Sends one transaction message after the other while ``ready`` is set."""

    def __init__(
        self,
        *,
        send: Callable[[Any], Awaitable[Any]],
        ready: asyncio.Event,
        retry: Callable[[], RetryPolicy],
        truth: Truth,
    ) -> None:
        self._send = send
        self._ready = ready
        self._retry = retry
        self._truth = truth
        self._queue: deque[Message] = deque()
        self._filled = asyncio.Event()
        self._changed = asyncio.Event()
        self.failures: list[str] = []

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def retrying(self) -> bool:
        """Whether the oldest message has failed at least once and waits for its next attempt."""
        return bool(self._queue) and self._queue[0].attempts > 0

    def put(self, message: Message) -> None:
        """Append; what does not fit any more is lost, and counted as such."""
        if len(self._queue) >= QUEUE_MAX:
            self._throw_away(message, "queue full")
            return
        self._queue.append(message)
        self._filled.set()

    def lose(self, message: Message, why: str) -> None:
        """A fault: the message never gets into the queue."""
        self._throw_away(message, why)

    async def run(self) -> None:
        """Work the queue off, for ever."""
        while True:
            await self._filled.wait()
            await self._ready.wait()
            await self._try(self._queue[0])
            if not self._queue:
                self._filled.clear()
            self._changed.set()

    async def _try(self, message: Message) -> None:
        try:
            answer = await self._send(message.build())
        except LinkDown:
            await asyncio.sleep(0)  # let the link clear `ready`
            return
        except (OCPPError, TimeoutError, TypeError, ValueError) as failure:
            self.failures.append(f"{message.action}: {failure!r}"[:500])
            await self._failed(message)
            return
        self._queue.popleft()
        message.answered(answer)
        told = Told(
            action=message.action,
            made_at=message.made_at,
            transaction_id=message.about(),
            attempts=message.attempts + 1,
        )
        self._truth.told.append(told)

    async def _failed(self, message: Message) -> None:
        policy = self._retry()
        message.attempts += 1
        self._changed.set()
        if message.attempts >= policy.attempts:
            self._queue.popleft()
            self._throw_away(message, "last attempt failed")
            return
        await asyncio.sleep(policy.interval_s * message.attempts)

    def _throw_away(self, message: Message, why: str) -> None:
        gone = Discarded(
            action=message.action,
            made_at=message.made_at,
            transaction_id=message.about(),
            attempts=message.attempts,
            why=why,
        )
        self._truth.discarded.append(gone)
        if message.discarded is not None:
            message.discarded()

    async def settle(self, timeout_s: float) -> bool:
        """Wait until the queue is empty, or cannot be worked off now (offline, or between two attempts).

        True if it is empty.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while self._queue and self._ready.is_set() and not self.retrying:
                    self._changed.clear()
                    await self._wake()
        except TimeoutError:
            return False
        return not self._queue

    async def emptied(self, timeout_s: float) -> bool:
        """Wait until the queue is empty, retries and reconnects included. False when the time is over."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._queue:
                    self._changed.clear()
                    await self._wake()
        except TimeoutError:
            return False
        return True

    async def _wake(self) -> None:
        """Until something changed; looked at again after a moment, as `ready` may go away without a change here."""
        try:
            async with asyncio.timeout(0.05):
                await self._changed.wait()
        except TimeoutError:
            return
