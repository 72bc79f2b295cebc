"""O4: what holds the event loop up is told with its place and counted with its length, also where it never ends."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog
from prometheus_client import REGISTRY

from csms.watchdog import BLOCKED_S, Watchdog

LONG_S = 1.0
TOLD_S_MAX = 60.0


@dataclass
class Told:
    """Lines of the log, waited for by name of the function that they blame; the machine may be slow besides."""

    lines: list[dict[str, Any]] = field(default_factory=list)
    _more: threading.Condition = field(default_factory=threading.Condition)

    def add(self, line: dict[str, Any]) -> None:
        with self._more:
            self.lines.append(line)
            self._more.notify_all()

    def of(self, function: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["place"].endswith(function)]

    def wait(self, function: str) -> dict[str, Any]:
        """Hold everybody up until it is told."""
        with self._more:
            assert self._more.wait_for(lambda: self.of(function), TOLD_S_MAX), self.lines
        return self.of(function)[0]


@pytest.fixture
def told() -> Iterator[Told]:
    found = Told()
    before = structlog.get_config()

    def keep(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
        if event["event"] == "event_loop_blocked":
            found.add(dict(event))
        raise structlog.DropEvent

    structlog.configure(processors=[structlog.contextvars.merge_contextvars, keep], cache_logger_on_first_use=False)
    try:
        yield found
    finally:
        structlog.configure(**before)


def figure(name: str) -> float:
    return REGISTRY.get_sample_value(f"csms_event_loop_blocked_seconds_{name}") or 0.0


def looks_something_up() -> None:
    time.sleep(LONG_S)


def reads_a_file() -> None:
    time.sleep(LONG_S)


async def test_what_holds_the_loop_up_is_told_with_its_place_and_counted_with_its_length(told: Told) -> None:
    count, seconds = figure("count"), figure("sum")
    with Watchdog() as watchdog:
        watchdog.start()
        await asyncio.sleep(BLOCKED_S)
        looks_something_up()
        line = await asyncio.to_thread(told.wait, "looks_something_up")

    assert line["place"] == f"{__name__}.looks_something_up"
    assert line["stack"][-1].startswith(f"{__name__}:")
    assert line["stack"][0].endswith(" test_what_holds_the_loop_up_is_told_with_its_place_and_counted_with_its_length")
    assert line["blocked_s"] > LONG_S - BLOCKED_S
    assert figure("count") > count
    assert figure("sum") - seconds > LONG_S - BLOCKED_S


async def test_what_never_ends_is_told_while_it_lasts(told: Told) -> None:
    with Watchdog(hangs_s=0.3) as watchdog:
        watchdog.start()
        await asyncio.sleep(BLOCKED_S)

        assert told.wait("Condition.wait")["blocked_s"] > BLOCKED_S  # nothing else runs on this loop until then


async def test_one_place_is_told_once_a_minute_and_another_at_once(told: Told) -> None:
    with Watchdog() as watchdog:
        watchdog.start()
        for _ in range(2):
            await asyncio.sleep(BLOCKED_S)
            looks_something_up()
        await asyncio.sleep(BLOCKED_S)
        reads_a_file()
        await asyncio.to_thread(told.wait, "reads_a_file")

    assert len(told.of("looks_something_up")) == 1


async def test_what_a_process_says_in_each_line_of_its_log_stands_here_too(told: Told) -> None:
    with structlog.contextvars.bound_contextvars(worker=3), Watchdog() as watchdog:
        watchdog.start()
        await asyncio.sleep(BLOCKED_S)
        looks_something_up()

        assert (await asyncio.to_thread(told.wait, "looks_something_up"))["worker"] == 3


async def test_after_its_end_nobody_watches(told: Told) -> None:
    with Watchdog() as watchdog:
        watchdog.start()
    looks_something_up()

    assert told.of("looks_something_up") == []
    assert "watchdog" not in {each.name for each in threading.enumerate()}
