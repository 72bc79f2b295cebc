"""What can go wrong between us and Postgres, and whose move it is then. Knows no SQL."""

from __future__ import annotations

from typing import ClassVar


class DatabaseError(Exception):
    """Something about the database that the operator has to know; the text says what to do next."""

    code: ClassVar[str] = "database_error"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, next_step: str = "") -> None:
        super().__init__(f"{message}; {next_step}" if next_step else message)
        self.message = message
        self.next_step = next_step


class DatabaseUnavailable(DatabaseError):
    """Commits do not work at the moment. Nothing that was asked for may be called durable; asking again is right."""

    code = "database_unavailable"


class PostgresNotStarted(DatabaseError):
    """The embedded Postgres did not come up; the text carries the end of its log."""

    code = "postgres_not_started"


class PostgresTooOld(DatabaseError):
    """CSMS_DATABASE_URL names a Postgres below the oldest version that our SQL runs on."""

    code = "postgres_too_old"
    exit_code = 5


class ClusterInUse(DatabaseError):
    """Another process owns the embedded Postgres of this data directory and has not let go of it in time."""

    code = "cluster_in_use"
    exit_code = 7

    def __init__(self, message: str, *, pid: int | None, next_step: str) -> None:
        super().__init__(message, next_step=next_step)
        self.pid = pid


class MigrationRefused(DatabaseError):
    """The schema and the migration files contradict each other; nothing was changed."""

    code = "migration_refused"
    exit_code = 5


class MigrationBlocked(DatabaseError):
    """Others held locks on the tables of a migration until patience with them ended; it was not applied."""

    code = "migration_blocked"
    exit_code = 7


class BackupFailed(DatabaseError):
    """The copy could not be written or read completely."""

    code = "backup_failed"


class RestoreRefused(DatabaseError):
    """A restore would mix a backup with data that is already there."""

    code = "restore_refused"
    exit_code = 5
