"""The statements of this room."""

from __future__ import annotations

from billing import Queries

SQL = Queries.load(__package__)
