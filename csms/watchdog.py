"""Tells when the event loop is held up, by whom and for how long: meanwhile no charge point gets an answer.

Messages pay nothing for it: a timer of the loop notes that it goes on, a thread looks at that note and, where it is
old, at what the loop's thread is doing. Work in C that does not let go of the interpreter is seen when it returns.
"""

from __future__ import annotations

import contextvars
import inspect
import sys
import threading
import time
from asyncio import AbstractEventLoop, TimerHandle, get_running_loop
from dataclasses import dataclass, field
from types import FrameType
from typing import Self

import structlog
from prometheus_client import Histogram

from csms.gateway.damper import Damper

BEAT_S = 0.05
BLOCKED_S = 0.1
HANGS_S = 5.0
OURS = ("csms.", "billing.")
NOWHERE = "not in Python: the process or the machine stood still"

BLOCKED = Histogram(
    "csms_event_loop_blocked_seconds",
    "Seconds in which the event loop was held up, each time for more than 0.1 s: nobody was answered",
    buckets=(0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)

_Line = tuple[str, str, int]
"""Module, function, line."""

log = structlog.get_logger()


@dataclass(slots=True)
class Watchdog:
    """Watches the loop that `start` is called in, until `stop`.

    `hangs_s`: what holds the loop up for longer is told before it ends, for it may never end.
    """

    hangs_s: float = HANGS_S
    _damper: Damper = field(default_factory=Damper)
    _loop: AbstractEventLoop | None = None
    _due: float = 0
    _timer: TimerHandle | None = None
    _thread: threading.Thread | None = None
    _stopped: threading.Event = field(default_factory=threading.Event)
    _watched: int = 0
    _depth: int | None = None
    """How many frames the loop itself has on the stack; what is above is what it runs."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """From within the loop, when start-up is over."""
        self._loop, self._watched = get_running_loop(), threading.get_ident()
        self._due = time.monotonic() + BEAT_S
        self._timer = self._loop.call_later(BEAT_S, self._beat)
        # The context carries what each line of this process's log says.
        self._thread = threading.Thread(
            target=contextvars.copy_context().run, args=(self._watch,), name="watchdog", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """From within the loop; nothing is told afterwards."""
        if self._thread is None:
            return
        assert self._timer is not None, "both begin together"
        self._stopped.set()
        self._timer.cancel()
        self._thread.join()

    # --- in the loop ---

    def _beat(self) -> None:
        assert self._loop is not None, "start() comes first"
        now = time.monotonic()
        if now - self._due > BLOCKED_S:
            BLOCKED.observe(now - self._due)
        if self._depth is None:
            self._depth = len(_frames(inspect.currentframe())) - 1
        self._due = now + BEAT_S
        self._timer = self._loop.call_later(BEAT_S, self._beat)

    # --- in the thread ---

    def _watch(self) -> None:
        while not self._stopped.wait(BEAT_S):
            due = self._due
            if time.monotonic() - due <= BLOCKED_S:
                continue
            innermost = sys._current_frames().get(self._watched)  # noqa: SLF001 - documented, for debuggers
            frames = _frames(innermost)[self._depth or 0 :]
            stack = [(_module(each), each.f_code.co_qualname, each.f_lineno) for each in frames]
            if self._due == due:  # else it went on meanwhile, and this is what it does now
                self._tell(due, stack)

    def _tell(self, due: float, stack: list[_Line]) -> None:
        """When it is over, or takes too long to wait for that; once in either case."""
        while self._due == due and time.monotonic() - due < self.hangs_s and not self._stopped.wait(BEAT_S):
            pass
        now = time.monotonic()
        over_at = now if self._due == due else self._due - BEAT_S
        place = _place(stack)
        if not self._stopped.is_set() and (count := self._damper.admit(place, now=now)) is not None:
            lines = [f"{module}:{line} {function}" for module, function, line in stack]
            log.warning("event_loop_blocked", place=place, blocked_s=round(over_at - due, 2), count=count, stack=lines)
        while self._due == due and not self._stopped.wait(BEAT_S):
            pass


def _frames(innermost: FrameType | None) -> list[FrameType]:
    """Outermost first."""
    frames = []
    while innermost is not None:
        frames.append(innermost)
        innermost = innermost.f_back
    return frames[::-1]


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "?"))


def _place(stack: list[_Line]) -> str:
    """The function of ours that is the nearest to what takes so long."""
    if not stack:
        return NOWHERE
    ours = [each for each in stack if each[0].startswith(OURS)]
    module, function, _ = (ours or stack)[-1]
    return f"{module}.{function}"
