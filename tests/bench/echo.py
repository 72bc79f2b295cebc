"""The measure: websockets' own server, echoing text frames on the same kind of loop. Prints its port."""

from __future__ import annotations

import asyncio
import sys
from typing import cast

from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol


async def _echo(websocket: ServerConnection) -> None:
    async for message in websocket:
        await websocket.send(message)


async def _main() -> None:
    protocols = [cast("Subprotocol", "ocpp1.6"), cast("Subprotocol", "ocpp2.0.1")]
    async with serve(
        _echo, "127.0.0.1", 0, compression=None, ping_interval=None, subprotocols=protocols, backlog=2048
    ) as server:
        sys.stdout.write(f"{next(iter(server.sockets)).getsockname()[1]}\n")
        sys.stdout.flush()
        await server.serve_forever()


if __name__ == "__main__":
    try:
        import uvloop
    except ImportError:
        asyncio.run(_main())
    else:
        uvloop.run(_main())
