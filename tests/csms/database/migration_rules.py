"""What a migration must not do while the server of the release before goes on: told by doing it and looking at the catalog.

A finding is excused in the file itself: `-- needs code NNNN: why` for what that server would notice (it is taken away a
release after it was last used), `-- allows KIND on TARGET: why` for what is harmless here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import asyncpg

from csms.database.migrate import migrate
from csms.database.migration import Migration
from csms.database.pool import connect_once

INSTEAD = {
    "dropped_table": "stop using it in one release, drop it in the next: -- needs code NNNN",
    "dropped_column": "add the new one, write both, and drop the old one in a later release: -- needs code NNNN",
    "dropped_function": "leave it there for a release: -- needs code NNNN",
    "changed_type": "add a column of the new type beside it, and drop the old one in a later release: -- needs code NNNN",
    "required_column": "give it a DEFAULT: the release before writes rows without it",
    "rewritten_table": "a table is rewritten behind a lock that stops everybody: add a column without volatile default",
    "added_constraint": "the release before may write what it refuses, and all rows are looked at behind a lock:"
    " ADD ... NOT VALID in a release after that, VALIDATE CONSTRAINT in a file outside a transaction",
    "added_index": "writers wait until it is made: CREATE INDEX CONCURRENTLY IF NOT EXISTS in a file outside a"
    " transaction; on a partitioned table ON ONLY, then so on each partition, then ATTACH",
    "changed_rows": "rows stay locked until the end: let the code bring them along, or do it in batches from a job",
    "opaque_block": "nobody sees what a DO block does: write statements, or excuse it",
    "not_repeatable": "a file outside a transaction is begun anew where it was cut off: CREATE INDEX CONCURRENTLY IF NOT"
    " EXISTS, DROP INDEX CONCURRENTLY IF EXISTS and ALTER TABLE ... VALIDATE CONSTRAINT only",
}
NOTICED = frozenset({"dropped_table", "dropped_column", "dropped_function", "changed_type"})
"""By the server of the release before: these need code that knows better."""

_ALLOWS = re.compile(r"^-- allows (\w+) on (\S+): \S", re.MULTILINE)
_HIDDEN = re.compile(r"--[^\n]*|\$(\w*)\$.*?\$\1\$|'(?:[^']|'')*'", re.DOTALL)
_CHANGES_ROWS = re.compile(
    r"(?:UPDATE|DELETE FROM|TRUNCATE|LOCK|CLUSTER|VACUUM|REINDEX)\b[\s(]*(?:ONLY |TABLE )?(\w*)", re.IGNORECASE
)
_REPEATABLE = re.compile(
    r"CREATE (?:UNIQUE )?INDEX CONCURRENTLY IF NOT EXISTS \w+|DROP INDEX CONCURRENTLY IF EXISTS \w+"
    r"|ALTER TABLE \w+ VALIDATE CONSTRAINT \w+"
)


class Column(NamedTuple):
    type: str
    is_required: bool
    """A row cannot be written without it."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """What there is: by name of the table, and of what is in it."""

    files: dict[str, int]
    columns: dict[tuple[str, str], Column]
    constraints: frozenset[tuple[str, str]]
    indexes: dict[tuple[str, str], bool]
    """Whether it is unique; without those of constraints."""
    functions: frozenset[str]


class Finding(NamedTuple):
    kind: str
    target: str

    def __str__(self) -> str:
        return f"{self.kind} on {self.target}: {INSTEAD[self.kind]}"


async def catalog(connection: asyncpg.Connection[Any]) -> Catalog:
    """Tables and views of ours, without partitions."""
    tables = await connection.fetch(
        "SELECT oid, relname, relfilenode FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v') AND NOT relispartition"
    )
    names = {row["oid"]: row["relname"] for row in tables}
    oids = list(names)
    columns = await connection.fetch(
        "SELECT attrelid, attname, format_type(atttypid, atttypmod) AS type,"
        " attnotnull AND NOT atthasdef AND attidentity = '' AS required"
        " FROM pg_attribute WHERE attrelid = ANY ($1) AND attnum > 0 AND NOT attisdropped",
        oids,
    )
    constraints = await connection.fetch(
        "SELECT conrelid, conname FROM pg_constraint WHERE conrelid = ANY ($1) AND contype IN ('c', 'f', 'u', 'x', 'p')",
        oids,
    )
    indexes = await connection.fetch(
        "SELECT i.indrelid, c.relname, i.indisunique FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " WHERE i.indrelid = ANY ($1) AND NOT EXISTS (SELECT FROM pg_constraint n WHERE n.conindid = i.indexrelid)",
        oids,
    )
    functions = await connection.fetch(
        "SELECT oid::regprocedure::text AS name FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    )
    return Catalog(
        files={row["relname"]: row["relfilenode"] for row in tables},
        columns={(names[r["attrelid"]], r["attname"]): Column(r["type"], r["required"]) for r in columns},
        constraints=frozenset((names[row["conrelid"]], row["conname"]) for row in constraints),
        indexes={(names[row["indrelid"]], row["relname"]): row["indisunique"] for row in indexes},
        functions=frozenset(row["name"] for row in functions),
    )


def differences(before: Catalog, after: Catalog, *, concurrently: bool) -> Iterator[Finding]:
    """What was there, and is not as it was. New tables may be as they like."""
    yield from (Finding("dropped_table", table) for table in before.files if table not in after.files)
    yield from (Finding("dropped_function", each) for each in before.functions - after.functions)
    kept = before.files.keys() & after.files.keys()
    yield from (Finding("rewritten_table", table) for table in kept if before.files[table] != after.files[table])
    for table in kept:
        yield from _columns_differ(table, before.columns, after.columns)
    for table, name in after.constraints - before.constraints:
        if table in kept:
            yield Finding("added_constraint", f"{table}.{name}")
    for table, name in after.indexes.keys() - before.indexes.keys():
        if table in kept and not concurrently:
            yield Finding("added_index", f"{table}.{name}")
        if table in kept and after.indexes[table, name]:
            yield Finding("added_constraint", f"{table}.{name}")


def _columns_differ(
    table: str, before: dict[tuple[str, str], Column], after: dict[tuple[str, str], Column]
) -> Iterator[Finding]:
    for key in {each for each in before.keys() | after.keys() if each[0] == table}:
        was, becomes, target = before.get(key), after.get(key), ".".join(key)
        if becomes is None:
            yield Finding("dropped_column", target)
            continue
        if was is not None and becomes.type != was.type:
            yield Finding("changed_type", target)
        if becomes.is_required and not (was and was.is_required):
            yield Finding("required_column", target)


def told_by_text(migration: Migration, tables: Sequence[str]) -> Iterator[Finding]:
    """What a catalog does not show; `tables`: those of before."""
    if not migration.in_transaction:
        yield from (
            Finding("not_repeatable", each.split()[0]) for each in migration.statements if not _REPEATABLE.match(each)
        )
        return
    for statement in _HIDDEN.sub("''", migration.sql).split(";"):
        words = statement.strip()
        if words.upper().startswith("DO "):
            yield Finding("opaque_block", "DO")
        changes = _CHANGES_ROWS.match(words)
        if changes is not None and changes[1] in tables:
            yield Finding("changed_rows", changes[1])


def unexcused(migration: Migration, found: Sequence[Finding]) -> list[str]:
    """Findings without an excuse, and excuses without a finding."""
    allowed = {Finding(kind, target) for kind, target in _ALLOWS.findall(migration.sql)}
    later = 0 < migration.code_min < migration.version
    told = [str(each) for each in sorted(found) if each not in allowed and not (later and each.kind in NOTICED)]
    told += [f"nothing is there to allow: {each.kind} on {each.target}" for each in sorted(allowed - set(found))]
    if migration.code_min and not any(each.kind in NOTICED for each in found):
        told.append("nothing is there that needs newer code")
    return told


async def examine(dsn: str, earlier: Sequence[Migration], migrations: Sequence[Migration]) -> dict[str, list[Finding]]:
    """Apply `earlier`, then each of `migrations`, to an empty database; what each of these does, by its label."""
    await migrate(dsn, migrations=earlier)
    found = {}
    async with connect_once(dsn, as_owner=True) as connection:
        before = await catalog(connection)
        for count, migration in enumerate(migrations, start=1):
            await migrate(dsn, migrations=[*earlier, *migrations[:count]])
            after = await catalog(connection)
            seen = differences(before, after, concurrently=not migration.in_transaction)
            found[migration.label] = sorted({*seen, *told_by_text(migration, list(before.files))})
            before = after
    return found
