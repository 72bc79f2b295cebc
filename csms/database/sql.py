"""Named SQL for csms rooms: the reader that billing keeps, since it is the same for both and billing may not import us."""

from billing import Queries, QueriesInvalid, Query

__all__ = ["Queries", "QueriesInvalid", "Query"]
