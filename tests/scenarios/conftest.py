"""A usual world per test: the whole server in this process, on a database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.world import World, usual_world


@pytest.fixture
async def world(database: str, data_home: Path) -> AsyncIterator[World]:
    async with usual_world(database, data_home) as opened:
        yield opened
