"""The same for many charge points: a few at a time, each on a database connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import asyncpg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")
R = TypeVar("R")


async def for_each(
    pool: asyncpg.Pool[Any],
    things: Iterable[T],
    work: Callable[[Any, T], Awaitable[R]],
    *,
    parallel: int,
    advance: Callable[[], None],
) -> list[R]:
    """`work(connection, thing)` for each, at most `parallel` at once; the results in the order of the things."""
    waiting = iter(enumerate(things))
    results: dict[int, R] = {}

    async def take_turns() -> None:
        async with pool.acquire() as connection:
            for n, thing in waiting:
                results[n] = await work(connection, thing)
                advance()

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(parallel):
                tasks.create_task(take_turns())
    except ExceptionGroup as several:  # what went wrong for one has ended the others: its reason is the reason
        raise several.exceptions[0] from None
    return [results[n] for n in sorted(results)]


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr while a fleet is addressed; nothing for one charge point, and where nobody watches."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown = console.is_terminal and total > 1
    with Progress(*columns, console=console, transient=True, disable=not shown) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)
