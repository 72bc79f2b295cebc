"""The figures of the process itself on /metrics."""

from __future__ import annotations

import asyncio

from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request
from starlette.routing import Route

from csms.api.health import build


async def tasks_told() -> float:
    app = build(ready=lambda: {"database": True})
    [route] = [each for each in app.routes if isinstance(each, Route) and each.path == "/metrics"]
    answer = await route.endpoint(Request({"type": "http", "method": "GET", "path": "/metrics", "headers": []}))
    [family] = [each for each in text_string_to_metric_families(answer.body.decode()) if each.name == "csms_tasks"]
    return family.samples[0].value


async def test_tasks_of_the_loop_are_counted_so_that_those_that_nobody_ends_are_seen() -> None:
    before = await tasks_told()

    forgotten = [asyncio.create_task(asyncio.Event().wait()) for _ in range(3)]

    assert await tasks_told() == before + 3
    for task in forgotten:
        task.cancel()
