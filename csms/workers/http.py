"""What a server with workers answers to machines that watch: one port, behind which each worker is asked."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from csms.workers.exposition import merged

ANSWER_S_MAX = 2.0
SUPERVISOR = "supervisor"
"""What stands instead of a number with the figures of the parent itself."""


def build(*, own: CollectorRegistry, urls: Callable[[], Mapping[str, str]], stopping: Callable[[], bool]) -> Starlette:
    """`own`: the parent's figures. `urls`: where each worker that accepts sockets is asked, by its number."""

    async def metrics(_request: Request) -> Response:
        pages = await _ask_all(urls(), "/metrics")
        told = {number: page for number, (status, page) in pages.items() if status == 200}  # noqa: PLR2004 - OK
        page = await asyncio.to_thread(merged, {SUPERVISOR: generate_latest(own).decode(), **told})
        return Response(page, media_type=CONTENT_TYPE_LATEST)

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_request: Request) -> Response:
        """Ready is who has a worker that takes traffic: the kernel gives new sockets to those that listen."""
        answers = await _ask_all(urls(), "/readyz")
        good = not stopping() and any(status == 200 for status, _ in answers.values())  # noqa: PLR2004 - OK
        workers = {number: _checks(page) for number, (_, page) in answers.items()}
        return JSONResponse({"status": "ready" if good else "unready", "workers": workers}, 200 if good else 503)

    return Starlette(routes=[Route("/metrics", metrics), Route("/healthz", healthz), Route("/readyz", readyz)])


async def _ask_all(urls: Mapping[str, str], path: str) -> dict[str, tuple[int, str]]:
    """Status and text of each worker's answer; 0 where there is none."""
    answers = await asyncio.gather(*(asyncio.to_thread(_ask, url + path) for url in urls.values()))
    return dict(zip(urls, answers, strict=True))


def _ask(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_S_MAX) as answer:  # noqa: S310 - a worker of ours
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()
    except OSError:  # it is just ending, or too busy to say that it is alive
        return 0, ""


def _checks(page: str) -> dict[str, Any]:
    try:
        checks = json.loads(page)["checks"]
    except (ValueError, KeyError, TypeError):
        return {"answers": False}
    return checks if isinstance(checks, dict) else {"answers": False}
