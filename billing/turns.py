"""How long work may keep the event loop before others have their turn. Knows nothing of what the work is."""

from __future__ import annotations

import asyncio
import time
from typing import Final

KEPT_S_MAX: Final = 0.002


class Turns:
    """Between two pieces of work: lets others use the loop once it has been kept for a while."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    async def give(self) -> None:
        """Costs nothing while little time has passed."""
        if time.monotonic() - self._since >= KEPT_S_MAX:
            await asyncio.sleep(0)
            self._since = time.monotonic()
