"""The HTTP side for machines that watch: /metrics, /healthz, /readyz."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from socket import socket

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

TASKS = Gauge("csms_tasks", "Tasks of the event loop: a few of the server itself, and a few for each connection")


def build(*, ready: Callable[[], dict[str, bool]]) -> Starlette:
    """`ready` names what must be true for the process to take traffic."""

    async def metrics(_request: Request) -> Response:
        TASKS.set(len(asyncio.all_tasks()))
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_request: Request) -> Response:
        checks = ready()
        good = all(checks.values())
        return JSONResponse({"status": "ready" if good else "unready", "checks": checks}, 200 if good else 503)

    return Starlette(routes=[Route("/metrics", metrics), Route("/healthz", healthz), Route("/readyz", readyz)])


class HttpServer(uvicorn.Server):
    """uvicorn as one task among ours: signals are the process's, not the server's."""

    def __init__(self, app: Starlette, *, host: str, port: int) -> None:
        super().__init__(
            uvicorn.Config(app, host=host, port=port, log_config=None, access_log=False, lifespan="off", loop="none")
        )
        self._listening = asyncio.Event()

    def capture_signals(self) -> _NoSignals:  # type: ignore[override]  # a context manager like the original's
        return _NoSignals()

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Listen; whoever waits in `listening` goes on."""
        await super().startup(sockets)
        self._listening.set()

    async def listening(self) -> None:
        """Until the port is open."""
        await self._listening.wait()

    @property
    def url(self) -> str:
        """Where it listens, once started."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"


class _NoSignals:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None
