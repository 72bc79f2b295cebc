from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from cli_room import Installation, serving

from tests.conftest import directory_for_everybody


@pytest.fixture(scope="session")
def shop() -> Iterator[Installation]:
    """One installation for this directory: tests keep apart by the names that they give to things."""
    for home in directory_for_everybody():
        with serving(home / "data") as made:
            asyncio.run(made.furnish())
            yield made
