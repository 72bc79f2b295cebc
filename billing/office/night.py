"""When something that is done once a day was last to be done. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta


def last_time(at: time, now: datetime) -> datetime:
    """The last instant up to now at which clocks in UTC showed this time of day."""
    today = datetime.combine(now.astimezone(UTC).date(), at, UTC)
    return today if today <= now else today - timedelta(days=1)
