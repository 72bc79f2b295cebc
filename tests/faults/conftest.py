"""Fixtures of the fault tests, and the line that says which counts were run."""

from __future__ import annotations

import logging
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
import structlog

from tests.faults.world import BUGS, LONG


@pytest.fixture(autouse=True)
def no_bug_is_logged() -> Iterator[list[dict[str, Any]]]:
    """What the servers of this process log at warning and above; a bug among it fails the test."""
    before = structlog.get_config()
    seen: list[dict[str, Any]] = []

    def keep(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
        seen.append(dict(event))
        raise structlog.DropEvent

    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.format_exc_info, keep],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        cache_logger_on_first_use=False,
    )
    try:
        yield seen
    finally:
        structlog.configure(**before)
    assert not [each for each in seen if each["event"] in BUGS]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts = "full" if LONG else "reduced (CSMS_TEST_LONG=1 for full ones)"
    terminalreporter.write_line(f"fault tests: counts and lengths {counts}")
