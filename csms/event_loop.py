"""The loop that servers run on: the fastest one there is, and not stopped by the collector for what start-up made."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine


def run(main: Coroutine[object, object, None]) -> None:
    """As asyncio.run()."""
    try:
        import uvloop  # noqa: PLC0415 - not there on every platform
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


_YOUNG_MAX = 50_000
"""So many more objects than before make a collection. Messages that wait for their commit are thousands of objects, none of
them garbage: to look through them at each 700, as is the default, takes a tenth of the time under load.
"""


def collect_seldom() -> None:
    """Spare everybody the collector's pauses; to be called when start-up is over.

    What start-up made lives as long as the process: looking through it again and again would stop everybody for some
    60 ms each second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_MAX, 10, 10)
