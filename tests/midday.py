"""A place where it is midday now: days of tests that ask the clock do not end while they run."""

from datetime import UTC, datetime

MIDDAY = 12


def midday_zone() -> str:
    """The name of a time zone in which it is between twelve and one."""
    return f"Etc/GMT{datetime.now(UTC).hour - MIDDAY:+d}"  # POSIX signs: what is west of Greenwich is above zero
