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


def keep_start_up_out_of_collections() -> None:
    """What start-up made lives as long as the process: looking through it again and again would stop everybody for
    some 60 ms each second.
    """
    gc.collect()
    gc.freeze()
