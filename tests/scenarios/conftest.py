"""A usual world per test: the whole server in this process, on a database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.world", "tests.scenarios.story", "tests.scenarios.teller")

from tests.world import World, usual_world  # noqa: E402 - after the line that makes its assertions explain themselves


@pytest.fixture
async def world(database: str, data_home: Path) -> AsyncIterator[World]:
    async with usual_world(database, data_home) as opened:
        yield opened
