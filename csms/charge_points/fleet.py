"""The same for many charge points: which are meant, and a few at a time, each on a database connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import asyncpg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from billing import CliError, ExitCode
from csms.charge_points import service
from csms.sites import service as sites

T = TypeVar("T")
R = TypeVar("R")


async def chosen(connection: Any, id_: str | None, site: str | None, *, purpose: str) -> list[Mapping[str, Any]]:
    """The charge point of this id, else those of a site, else all, as `list_charge_points` shows them.

    Raises:
        NotFound: there is no such charge point or site.
        CliError: there is none for this `purpose` ("to ask").
    """
    if id_ is not None:
        known = await service.get(connection, id_)
        return await service.list_charge_points(connection, identity=known.id)
    if site is not None:
        await sites.get(connection, site)
    found = await service.list_charge_points(connection, site=site)
    if not found:
        raise CliError(f"no charge point {purpose}", "see csms cp list", ExitCode.NOT_FOUND)
    return found


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
