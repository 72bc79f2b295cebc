from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest_asyncio

from tests.simulators.central_system import CentralSystem, central_system

logging.getLogger("ocpp").setLevel(logging.CRITICAL)  # the package logs each refusal with its traceback


@pytest_asyncio.fixture
async def central() -> AsyncIterator[CentralSystem]:
    async with central_system() as running:
        yield running
