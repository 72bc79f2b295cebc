"""Every .story beside this file, told in OCPP 1.6, 2.0.1 and 2.1 at once: the claims hold for all, and all tell the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.story import read
from tests.scenarios.teller import Teller, stage, utc_now

STORIES = sorted(Path(__file__).parent.glob("*.story"))


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
async def test_a_story_ends_as_it_says(path: Path, database: str, data_home: Path) -> None:
    story = read(path, now=utc_now())

    async with stage(story, database, data_home) as world:
        await Teller(story, world).tell()
