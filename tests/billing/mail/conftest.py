from __future__ import annotations

import asyncpg
import pytest

from tests.billing.mail.mail_room import Inbox, PostOffice


@pytest.fixture
def office(pool: asyncpg.Pool) -> PostOffice:
    return PostOffice(pool)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()
