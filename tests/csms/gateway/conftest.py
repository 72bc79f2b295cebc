from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that `csms serve` runs on: its transports differ from asyncio's in ways that matter here."""
    del config, item
    return {"uvloop": uvloop.new_event_loop}
