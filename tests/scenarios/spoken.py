"""Says texts as they stand on a socket: broken, pretty-printed, or of another version of OCPP."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.faults.wire import ANSWER_S_MAX, Reply, Wire


async def say(opened: Wire, text: str, *, id_: str) -> Reply:
    """Send a text; the answer to the message id that stands in it."""
    reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    opened._waiting.setdefault(id_, []).append(reply)
    await opened.socket.send(text)
    async with asyncio.timeout(ANSWER_S_MAX):
        return await reply


async def ask(opened: Wire, action: str, payload: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A call that must be answered with a result."""
    reply = await opened.call(action, payload, **more)
    assert reply.error is None, f"{action} was refused: {reply.error}"
    return reply.payload
