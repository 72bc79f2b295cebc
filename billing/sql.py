"""Statements with names: reads `queries.sql` files and turns `:name` parameters into Postgres' `$n`. Runs nothing that
was not written there.

    -- name: trial_balance
    -- Must be zero for every currency, always.
    SELECT currency, sum(amount_minor) FROM posting WHERE at < :until GROUP BY currency;

A colon inside a string, a comment, a quoted name or a `::` cast is no parameter. An array slice with names needs
spaces around its colon.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

Connection: TypeAlias = "asyncpg.Connection[Any] | PoolConnectionProxy[Any]"

_TOKEN = re.compile(
    r"""
      (?P<skip> [eE]'(?:[^'\\]|\\.|'')*'      # escape string
              | '(?:[^']|'')*'                # string
              | "(?:[^"]|"")*"                # quoted name
              | --[^\n]*                      # comment
              | /\*.*?\*/                     # comment
              | \$(?P<tag>[A-Za-z_]\w*|)\$.*?\$(?P=tag)\$   # dollar-quoted string
              | ::                            # cast
              | :=                            # assignment in named notation
      )
    | :(?P<name>[A-Za-z_]\w*)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK = re.compile(r"^-- name:[ \t]*(\S+)[ \t]*$", re.MULTILINE)


class QueryFileInvalid(Exception):
    """A queries.sql breaks the form: the text names file and block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One named statement, ready for asyncpg."""

    name: str
    purpose: str
    sql: str
    parameters: tuple[str, ...]

    def args(self, values: Mapping[str, Any]) -> list[Any]:
        """The values in the order of `$1, $2 ...`.

        Raises:
            TypeError: a parameter is missing or unknown.
        """
        missing = [name for name in self.parameters if name not in values]
        unknown = [name for name in values if name not in self.parameters]
        if missing or unknown:
            raise TypeError(f"query {self.name}: missing parameters {missing}, unknown parameters {unknown}")
        return [values[name] for name in self.parameters]

    async def fetch(self, connection: Connection, **values: Any) -> list[asyncpg.Record]:
        return await connection.fetch(self.sql, *self.args(values))

    async def fetchrow(self, connection: Connection, **values: Any) -> asyncpg.Record | None:
        return await connection.fetchrow(self.sql, *self.args(values))

    async def fetchval(self, connection: Connection, **values: Any) -> Any:
        return await connection.fetchval(self.sql, *self.args(values))

    async def execute(self, connection: Connection, **values: Any) -> str:
        return await connection.execute(self.sql, *self.args(values))

    def cursor(self, connection: Connection, *, prefetch: int = 200, **values: Any) -> Any:
        """Row by row, however many there are; within a transaction."""
        return connection.cursor(self.sql, *self.args(values), prefetch=prefetch)

    async def executemany(self, connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
        await connection.executemany(self.sql, [self.args(row) for row in rows])


class Queries(Mapping[str, Query]):
    """The statements of one file, by name: `queries["trial_balance"]` or `queries.trial_balance`."""

    def __init__(self, queries: Iterable[Query]) -> None:
        self._queries = {query.name: query for query in queries}

    @classmethod
    def load(cls, package: str, file_name: str = "queries.sql") -> Queries:
        """From a file that lies in a package.

        Raises:
            QueryFileInvalid: see parse().
        """
        return cls.parse((files(package) / file_name).read_text(encoding="utf-8"), source=f"{package}/{file_name}")

    @classmethod
    def parse(cls, text: str, *, source: str) -> Queries:
        """From text.

        Raises:
            QueryFileInvalid: a name that is no identifier or comes twice, no purpose, no statement or several.
        """
        queries: dict[str, Query] = {}
        blocks = list(_BLOCK.finditer(text))
        for block, following in zip(blocks, [*blocks[1:], None], strict=True):
            name = block[1]
            body = text[block.end() : following.start() if following else len(text)].strip()
            if not name.isidentifier() or name in queries:
                raise QueryFileInvalid(f"{source}: block name {name!r} is no identifier or is used twice")
            queries[name] = _query(name, body, where=f"{source}: block {name}")
        return cls(queries.values())

    def args(self, name: str, values: Mapping[str, Any]) -> list[Any]:
        """The values of the query's parameters in the order of `$1, $2 ...`."""
        return self[name].args(values)

    def __getitem__(self, name: str) -> Query:
        return self._queries[name]

    def __getattr__(self, name: str) -> Query:
        try:
            return self.__dict__["_queries"][name]  # type: ignore[no-any-return]  # a plain dict lookup, typed Any
        except KeyError:
            raise AttributeError(f"no query is named {name!r}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._queries)

    def __len__(self) -> int:
        return len(self._queries)


def _query(name: str, body: str, *, where: str) -> Query:
    lines = body.splitlines()
    purpose: list[str] = []
    while lines and lines[0].startswith("--"):
        purpose.append(lines.pop(0).removeprefix("--").strip())
    statement = "\n".join(lines).strip()
    if not purpose:
        raise QueryFileInvalid(f"{where} does not say what it is for; write a comment line below its name")
    if not statement:
        raise QueryFileInvalid(f"{where} has no statement")
    sql, parameters = bind_names(statement)
    return Query(name=name, purpose=" ".join(purpose), sql=sql, parameters=parameters)


def bind_names(statement: str) -> tuple[str, tuple[str, ...]]:
    """The statement with `$n` for `:name`, and the names by number; a name used twice keeps its number."""
    numbers: dict[str, int] = {}

    def replace(match: re.Match[str]) -> str:
        name = match["name"]
        if name is None:
            return match[0]
        return f"${numbers.setdefault(name, len(numbers) + 1)}"

    return _TOKEN.sub(replace, statement), tuple(numbers)
