"""Whose trouble an exception is: that of the database, which passes, or that of one row, which is put off."""

from __future__ import annotations

from typing import Final

import asyncpg

DATABASE_TROUBLE: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_OF_ROWS: Final = (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError)


def is_database_trouble(error: Exception) -> bool:
    """Whether the database is in trouble, and not one row."""
    return isinstance(error, DATABASE_TROUBLE) and not isinstance(error, _OF_ROWS)
