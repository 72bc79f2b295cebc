"""Statements with names, as `queries.sql` files hold them. The reader is billing's, which may not import us."""

from billing import Connection, Queries, Query, QueryFileInvalid, bind_names

__all__ = ["Connection", "Queries", "Query", "QueryFileInvalid", "bind_names"]
