"""Says of a session that was dropped by whom and why, for commands that look for its bill. Changes nothing."""

from __future__ import annotations

from typing import Any

from billing import NotFound, rfc3339
from csms.sessions import listing
from csms.sessions.store import SQL

RULES = {"duplicate_start": "another session began with the same start"}
"""What the rules' own words for dropping mean, where they are no sentence."""


async def why_dropped(connection: Any, session: int) -> NotFound | None:
    """What to answer who asks for the bill of a session that was dropped; None where it was not.

    The review's log counts before the session's row, which is written a moment later.

    Raises:
        NotFound: there is no such session.
    """
    row = await listing.get(connection, session)
    if row["billed"]:
        return None
    decisions = [each for each in await SQL.review_log.fetch(connection, session=session) if each["action"] == "drop"]
    if decisions:
        last = decisions[-1]
        at = rfc3339(last["at"].replace(microsecond=0))
        how = f"by {last['actor']} at {at}: {last['reason']}"
    elif row["dropped"] is not None:
        how = f"by the rules: {RULES.get(row['dropped'], row['dropped'])}"
    else:
        return None
    return NotFound(
        f"session {session} was dropped {how}; it will not be billed",
        f"see csms session show {session}, or csms bill list --session {session} for interim bills from before",
    )
