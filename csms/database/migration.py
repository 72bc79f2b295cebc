"""The files of the schema, what they say of themselves, and which of them a database still needs. Runs none of them.

The server of the release before goes on while a file runs, and after it: from `ONLINE_SINCE` on every file only adds
what that server does not notice. What a release no longer uses is taken away by a file of a later one, which says so:

    -- What it is for, in a sentence.
    -- needs code 0033: the column is no longer written since then
    -- outside a transaction
    -- allows added_index on site: it has some thousand rows at most

`needs code NNNN`: code that does not know the file NNNN cannot work on the schema after this one, and refuses it.
`outside a transaction`: for CREATE INDEX CONCURRENTLY and its like, each of which may be repeated.
`allows`: a finding of the rules in tests/csms/database/migration_rules.py that is harmless here, and why.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from csms.database.errors import MigrationRefused

ONLINE_SINCE: Final = 32
"""Files before were written when no release had to go on beside them: code that does not know them refuses the schema."""

_FILE_NAME: Final = re.compile(r"(\d{4})_(\w+)\.sql")
_MADE_APPEND_ONLY: Final = re.compile(r"SELECT csms_append_only\('(\w+)'\)")
_NEEDS_CODE: Final = re.compile(r"^-- needs code (\d{4}): \S", re.MULTILINE)
_OUTSIDE: Final = re.compile(r"^-- outside a transaction$", re.MULTILINE)
_DIRECTIVE: Final = re.compile(r"-- (needs code|outside a transaction|allows) ?")
_COMMENT: Final = re.compile(r"--[^\n]*")
_CONCURRENT_INDEX: Final = re.compile(r"CREATE (?:UNIQUE )?INDEX CONCURRENTLY IF NOT EXISTS (\w+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """A file as it is in this code."""

    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def label(self) -> str:
        return f"{self.version:04}_{self.name}"

    @property
    def purpose(self) -> str:
        """The first sentence of the comment at its head; empty where there is none."""
        head = []
        for line in self.sql.splitlines():
            if not line.startswith("--") or _DIRECTIVE.match(line):
                break
            head.append(line.removeprefix("--").strip())
        return re.split(r"(?<=\.)\s", " ".join(head), maxsplit=1)[0]

    @property
    def in_transaction(self) -> bool:
        return _OUTSIDE.search(self.sql) is None

    @property
    def code_min(self) -> int:
        """The file that code must know to work on the schema after this one; 0: any code that worked before."""
        needs = _NEEDS_CODE.search(self.sql)
        if needs is not None:
            return int(needs[1])
        return 0 if self.version >= ONLINE_SINCE else self.version

    @property
    def statements(self) -> list[str]:
        """One by one, of a file outside a transaction: it has no strings and no bodies of functions."""
        return [each.strip() for each in _COMMENT.sub("", self.sql).split(";") if each.strip()]

    @property
    def concurrent_indexes(self) -> list[str]:
        """Indexes that stay behind invalid where their making was cut off."""
        return _CONCURRENT_INDEX.findall(self.sql)


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A file as the database remembers it. `code_min` is None where code of before `ONLINE_SINCE` has applied it."""

    version: int
    name: str
    sha256: str
    applied_at: datetime
    code_min: int | None = None

    @property
    def label(self) -> str:
        return f"{self.version:04}_{self.name}"


def own_migrations() -> list[Migration]:
    """The files that come with this code, in order."""
    return read_migrations(files("csms.database") / "migrations")


def read_migrations(directory: Traversable) -> list[Migration]:
    """Every `.sql` file of a directory, in order.

    Raises:
        MigrationRefused: a name that is no NNNN_name.sql, or a number used twice.
    """
    found: dict[int, Migration] = {}
    for file in sorted(directory.iterdir(), key=lambda file: file.name):
        if not file.name.endswith(".sql"):
            continue
        match = _FILE_NAME.fullmatch(file.name)
        if match is None:
            raise MigrationRefused(f"migration {file.name} is not named NNNN_name.sql", next_step="rename it")
        migration = Migration(version=int(match[1]), name=match[2], sql=file.read_text(encoding="utf-8"))
        if migration.version in found:
            raise MigrationRefused(
                f"migrations {found[migration.version].label} and {migration.label} have the same number",
                next_step="give the newer one the next free number",
            )
        found[migration.version] = migration
    return [found[version] for version in sorted(found)]


def pending_after(applied: Sequence[Applied], migrations: Sequence[Migration]) -> list[Migration]:
    """Which files are still to run.

    Raises:
        MigrationRefused: the database knows a file that this code does not and cannot work with, or knows one
            otherwise, or a new file would have to run before one that has run already.
    """
    known = {migration.version: migration for migration in migrations}
    newer = {each.version for each in newer_than(applied, migrations)}
    for each in applied:
        migration = known.get(each.version)
        if migration is None and each.version not in newer:
            raise MigrationRefused(
                f"the database has migration {each.label}, which this version of csms does not know",
                next_step="run the newer csms that made it, or restore a backup from before",
            )
        if migration is not None and migration.sha256 != each.sha256:
            raise MigrationRefused(
                f"migration {migration.label} was changed after it was applied at {each.applied_at:%Y-%m-%d %H:%M} UTC",
                next_step="put the file back as it was and write the change as a new migration",
            )
    newest = max((each.version for each in applied), default=-1)
    done = {each.version for each in applied}
    pending = [migration for migration in migrations if migration.version not in done]
    for migration in pending:
        if migration.version < newest:
            raise MigrationRefused(
                f"migration {migration.label} is new but {newest:04} has been applied already",
                next_step="give it the next free number",
            )
    return pending


def newer_than(applied: Sequence[Applied], migrations: Sequence[Migration]) -> list[Applied]:
    """Files of a newer csms with which this code works nevertheless: a later release has migrated, or was rolled back."""
    own = max((migration.version for migration in migrations), default=-1)
    return [each for each in applied if each.version > own and each.code_min is not None and each.code_min <= own]


def append_only_wanted() -> frozenset[str]:
    """The tables that the migrations of this code make append-only."""
    return frozenset(name for each in own_migrations() for name in _MADE_APPEND_ONLY.findall(each.sql))
