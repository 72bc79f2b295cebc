"""One server for all charge points of a file: none knows of another, and a server each would cost minutes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

pytest.register_assert_rewrite("tests.world", "ward")

from csms.database.embedded import EmbeddedPostgres  # noqa: E402 - after the line that explains assertions
from tests.conftest import _fresh_database, directory_for_everybody  # noqa: E402
from tests.world import World, usual_world  # noqa: E402


@pytest.fixture(scope="module")
def data_home_of_all() -> Iterator[Path]:
    yield from directory_for_everybody()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world_of_all(
    postgres: EmbeddedPostgres, migrated_template: str, data_home_of_all: Path
) -> AsyncIterator[World]:
    async for dsn in _fresh_database(postgres, template=migrated_template):
        async with usual_world(dsn, data_home_of_all, ping_interval_s=0.5, ping_timeout_s=0.25) as world:
            yield world
