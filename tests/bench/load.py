"""The load: charge points that each have one call open, as fast as they are answered or at a given pace."""

from __future__ import annotations

import asyncio
import random
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tests.bench.processes import ServerProcess
from tests.bench.wire import Client

WARM_UP_S_MAX = 0.5
_ANSWER_S = 30
_now = time.perf_counter
"""uvloop's own clock stands still within a turn of the loop, and counts whole milliseconds."""


class NotAnswered(Exception):
    """The server failed in a way that makes every figure worthless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What was measured between warm-up and end."""

    messages: int
    wall_s: float
    cpu_s: float
    latencies_s: array[float]

    @property
    def per_s(self) -> float:
        return self.messages / self.wall_s

    @property
    def cpu_us(self) -> float:
        """CPU time of the server per message."""
        return self.cpu_s / max(self.messages, 1) * 1e6

    @property
    def per_core_s(self) -> float:
        """Messages per second that one core of the server is good for."""
        return self.messages / self.cpu_s if self.cpu_s else 0.0

    def latency_ms(self, percentile: float) -> float:
        return percentile_of(self.latencies_s, percentile) * 1000


def percentile_of(figures: Sequence[float], percentile: float) -> float:
    """The smallest of the figures that so many percent do not exceed; 0 where there are none."""
    ordered = sorted(figures)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percentile / 100))] if ordered else 0.0


class _Speaker:
    """Says one frame after the other. With `interval_s` each has an instant at which it is due, and its latency counts
    from there: an answer that comes late makes the next one late too, not absent."""

    def __init__(self, client: Client, frames: Iterator[bytes], interval_s: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._client = client
        self._frames = frames
        self._interval_s = interval_s
        self._due = _now() + random.uniform(0, interval_s or 0)
        self._is_stopped = False
        self.done: asyncio.Future[None] = self._loop.create_future()
        self.said = 0
        self.latencies_s = array("d")
        client.on_answer = self._answered
        client.lost.add_done_callback(self._lost)
        self._say_when_due()

    def stop(self) -> None:
        self._is_stopped = True

    def _say(self) -> None:
        if self._is_stopped:
            self._end()
            return
        if self._interval_s is None:
            self._due = _now()
        self.said += 1
        self._client.send(next(self._frames))

    def _answered(self, answer: bytes) -> None:
        self.latencies_s.append(_now() - self._due)
        if answer.startswith(b"[4,"):
            self._end(NotAnswered(f"the server refused a call: {answer.decode(errors='replace')[:200]}"))
        elif self._interval_s is None:
            self._say()
        else:
            self._due += self._interval_s
            self._say_when_due()

    def _say_when_due(self) -> None:
        self._loop.call_later(max(0.0, self._due - _now()), self._say)

    def _lost(self, _future: asyncio.Future[None]) -> None:
        self._end(NotAnswered("the server closed a socket"))

    def _end(self, failure: Exception | None = None) -> None:
        if self.done.done():
            return
        self._client.lost.remove_done_callback(self._lost)
        if failure is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(failure)


async def speak(
    server: ServerProcess,
    clients: Sequence[Client],
    frames: Iterable[Iterator[bytes]],
    *,
    seconds: float,
    per_s: float | None = None,
) -> Run:
    """All clients at once, for the warm-up and `seconds`; `per_s` is their pace together, None for as fast as they can.

    Raises:
        NotAnswered: a call was refused, or a socket closed.
    """
    interval_s = None if per_s is None else len(clients) / per_s
    speakers = [_Speaker(client, said, interval_s) for client, said in zip(clients, frames, strict=True)]
    loop = asyncio.get_running_loop()
    await asyncio.sleep(min(WARM_UP_S_MAX, seconds))
    before = [len(speaker.latencies_s) for speaker in speakers]
    begin, cpu_begin_s = loop.time(), server.cpu_s
    await asyncio.sleep(seconds)
    after = [len(speaker.latencies_s) for speaker in speakers]
    wall_s, cpu_s = loop.time() - begin, server.cpu_s - cpu_begin_s
    for speaker in speakers:
        speaker.stop()
    async with asyncio.timeout(_ANSWER_S):
        await asyncio.gather(*(speaker.done for speaker in speakers))
    latencies_s = array("d")
    for speaker, first, last in zip(speakers, before, after, strict=True):
        latencies_s += speaker.latencies_s[first:last]
    return Run(messages=len(latencies_s), wall_s=wall_s, cpu_s=cpu_s, latencies_s=latencies_s)
