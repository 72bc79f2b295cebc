"""What every test of sending starts from: a small business with books, an archive, a mail server."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from tests.billing.mail.mail_room import Inbox
from tests.billing.sending.dispatch import Dispatch


@pytest.fixture
async def dispatch(pool: asyncpg.Pool, tmp_path: Path) -> Dispatch:
    made = Dispatch(pool=pool, directory=tmp_path / "archive")
    await made.books.open()
    return made


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()
