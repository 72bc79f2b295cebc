from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from tests.billing.mail.mail_room import Inbox
from tests.billing.office.office_room import OfficeRoom
from tests.billing.sending.dispatch import Dispatch


@pytest.fixture
async def room(pool: asyncpg.Pool, database: str, tmp_path: Path) -> OfficeRoom:
    dispatch = Dispatch(pool=pool, directory=tmp_path / "archive")
    await dispatch.books.open()
    return OfficeRoom(dispatch=dispatch, dsn=database)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()
