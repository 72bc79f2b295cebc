"""The loop that servers run on: the fastest one there is, and seldom stopped by the collector of garbage."""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import Coroutine, Sequence


def run(main: Coroutine[object, object, None]) -> None:
    """As asyncio.run()."""
    try:
        import uvloop  # noqa: PLC0415 - not there on every platform
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


LOOK_S = 0.1
LOOKS = 20
GROWN = 150_000
"""So many more objects than after the last collection, at each of the LOOKS, are worth one: as a thousand sockets make.
Less are the readings of sessions that are kept folded, of which none is garbage.
"""
GROWN_FAST = 3 * GROWN
"""So many are, wherever the looks found the fewest."""
GROWN_MAX = 1_000_000
"""With so many the interpreter collects by itself, as between two looks."""
OLD_MIN = 500_000
"""Everything is looked through when what has been added since is a quarter of it, and more than these."""


def is_worth_collecting(grown: Sequence[int]) -> bool:
    """Given how many more objects there were at each look, the newest last: do they stay, and are they few just now?

    What a batch loads is gone with the batch, without any collector: it is waited for.
    """
    fewest = min(grown, default=0)
    if len(grown) < LOOKS or fewest < GROWN:
        return False
    return fewest >= GROWN_FAST or grown[-1] <= fewest * 1.1


class Collector:
    """Collects when objects have become more and stay so: those may be garbage that holds itself in a circle.

    The interpreter does it at any moment at which there are so many more objects than before. Under load those are the
    readings of a batch of sessions and the messages that wait for their commit, none of them garbage: to look through
    them held everybody up for 10 to 60 ms, some four times a second.
    """

    def __init__(self) -> None:
        self._grown: deque[int] = deque(maxlen=LOOKS)
        self._old = 0
        self._added = 0

    def start(self) -> None:
        """On the running loop, for as long as that runs; to be called when start-up is over.

        What start-up made lives as long as the process, and is never looked through again.
        """
        gc.collect()
        gc.freeze()
        gc.set_threshold(GROWN_MAX, 10, 10)
        self._look_later()

    def _look_later(self) -> None:
        asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def _look(self) -> None:
        self._grown.append(gc.get_count()[0])
        if is_worth_collecting(self._grown):
            self._collect()
        self._look_later()

    def _collect(self) -> None:
        self._added += self._grown[-1]
        self._grown.clear()
        if self._added > max(OLD_MIN, self._old / 4):
            gc.collect()
            self._old, self._added = len(gc.get_objects()), 0
        else:
            gc.collect(1)
