"""Whether two values of a setting say the same. Pure."""

from __future__ import annotations

_TRUTHS = frozenset({"true", "false"})


def same_value(one: str | None, other: str | None) -> bool:
    """As charge points mean it: the order of a list does not count, nor does how true and false are spelt."""
    if one is None or other is None:
        return one is other
    return one == other or _parts(one) == _parts(other)


def _parts(value: str) -> list[str]:
    return sorted(_spelt(part.strip()) for part in value.split(","))


def _spelt(part: str) -> str:
    folded = part.casefold()
    return folded if folded in _TRUTHS else part
