"""The measure: websockets' own server, echoing text frames on the same kind of loop. Prints its ports.

With --tls-cert and --tls-key it has a TLS port as well; with --deflate it compresses as charge points may ask for.
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import cast

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol

from tests.bench.reference import server_context, tell_ports


async def _echo(websocket: ServerConnection) -> None:
    async for message in websocket:
        await websocket.send(message)


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.echo", description=__doc__)
    parser.add_argument("--tls-cert", type=Path)
    parser.add_argument("--tls-key", type=Path)
    parser.add_argument("--deflate", action="store_true")
    return parser.parse_args()


async def _main(given: argparse.Namespace) -> None:
    protocols = [cast("Subprotocol", "ocpp1.6"), cast("Subprotocol", "ocpp2.0.1")]
    contexts = [None] if given.tls_cert is None else [None, server_context(given.tls_cert, given.tls_key)]
    async with AsyncExitStack() as stack:
        ports = []
        for context in contexts:
            server: Server = await stack.enter_async_context(
                serve(
                    _echo, "127.0.0.1", 0, ssl=context, compression="deflate" if given.deflate else None,
                    ping_interval=None, subprotocols=protocols, backlog=2048,
                )
            )  # fmt: skip
            ports.append(next(iter(server.sockets)).getsockname()[1])
        tell_ports(*ports)
        await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        import uvloop
    except ImportError:
        asyncio.run(_main(_given()))
    else:
        uvloop.run(_main(_given()))
