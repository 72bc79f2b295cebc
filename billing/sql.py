"""Named SQL: a queries.sql of `-- name: x` blocks with :named parameters, read once and checked whole."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources

_NAME = re.compile(r"^-- name: ([a-z][a-z0-9_]*)[ \t]*$", re.MULTILINE)
_COMMENT = re.compile(r"--[^\n]*")
# What must not be searched for parameters comes first: comments, literals, quoted names, casts.
_TOKEN = re.compile(
    r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"[^\"]*\"|\$([a-z]*)\$.*?\$\1\$|::|(?<![:\w]):([a-z_][a-z0-9_]*)",
    re.DOTALL,
)


class QueriesInvalid(Exception):
    """A queries.sql is not a row of named blocks."""


@dataclass(frozen=True, slots=True)
class Query:
    """One statement as Postgres takes it, and the names of its parameters in the order of $1, $2 ..."""

    name: str
    text: str
    parameters: tuple[str, ...]

    def arguments(self, given: Mapping[str, object]) -> tuple[object, ...]:
        """`given` in the statement's order; nothing missing, nothing left over."""
        if set(given) != set(self.parameters):
            raise TypeError(f"query {self.name} takes {sorted(self.parameters)}, not {sorted(given)}")
        return tuple(given[name] for name in self.parameters)


class Queries(Mapping[str, Query]):
    """The statements of one room, by name."""

    def __init__(self, text: str) -> None:
        self._queries = dict(_blocks(text))

    @classmethod
    def of(cls, package: str, file: str = "queries.sql") -> Queries:
        """Those in `file` beside the package's modules."""
        return cls(resources.files(package).joinpath(file).read_text(encoding="utf-8"))

    def __getitem__(self, name: str) -> Query:
        return self._queries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._queries)

    def __len__(self) -> int:
        return len(self._queries)

    def bind(self, name: str, /, **given: object) -> tuple[str, *tuple[object, ...]]:
        """Text and arguments of a statement, ready for `connection.fetch(*queries.bind("name", session=1))`."""
        query = self[name]
        return (query.text, *query.arguments(given))


def _blocks(text: str) -> Iterator[tuple[str, Query]]:
    marks = list(_NAME.finditer(text))
    preface = text[: marks[0].start()] if marks else text
    if _COMMENT.sub("", preface).strip():
        raise QueriesInvalid("a statement stands before the first `-- name:`")
    seen: set[str] = set()
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        name = mark.group(1)
        if name in seen:
            raise QueriesInvalid(f"two queries are called {name}")
        seen.add(name)
        body = text[mark.end() : following.start() if following else len(text)].strip()
        yield name, _query(name, body)


def _query(name: str, body: str) -> Query:
    parameters: dict[str, int] = {}

    def number(token: re.Match[str]) -> str:
        parameter = token.group(2)
        if parameter is None:
            return token.group(0)
        return f"${parameters.setdefault(parameter, len(parameters) + 1)}"

    statement = _TOKEN.sub(number, body).rstrip().rstrip(";")
    if not _COMMENT.sub("", statement).strip():
        raise QueriesInvalid(f"query {name} is empty")
    return Query(name, statement, tuple(parameters))
