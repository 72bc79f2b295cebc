from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import uvloop
from files_room import Room, opened


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that `csms serve` runs on."""
    del config, item
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def room(pool: asyncpg.Pool[Any], tmp_path: Path) -> AsyncIterator[Room]:
    """A file endpoint with HTTPS, and one charge point."""
    async with opened(pool, tmp_path) as made:
        yield made
