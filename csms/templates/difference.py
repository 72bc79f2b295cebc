"""How the settings of two charge points, or of one and a template, differ. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from csms.charge_points.setting_value import same_value
from csms.protocol.redaction import REDACTED, is_secret
from csms.templates.individual import why_individual

WRITABLE = frozenset({"ReadWrite", "WriteOnly"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A setting as a charge point last told it. `mutability` None: it did not say (1.6 says only what is ReadOnly)."""

    name: str
    value: str | None
    mutability: str | None = None
    read_at: datetime | None = None

    @property
    def is_read_only(self) -> bool:
        return self.mutability == "ReadOnly"


class Kind(StrEnum):
    SAME = "same"
    DIFFERS = "differs"
    ONLY_ONE = "only_first"
    ONLY_OTHER = "only_second"
    LEFT_OUT = "left_out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """`settable`: whether either of them could be set to the other's value. `why`: of what is left out."""

    name: str
    kind: Kind
    one: str | None
    other: str | None
    mutability: str | None = None
    settable: bool = False
    why: str | None = None


def by_name(settings: Iterable[Known]) -> dict[str, Known]:
    """Names compare without case (1.6 section 9, 2.0.1 Part 1 4.1)."""
    return {setting.name.casefold(): setting for setting in settings}


def differences(one: Mapping[str, Known], other: Mapping[str, Known]) -> list[Difference]:
    """Every setting that either has, in the order of their names. Both mappings as `by_name` makes them."""
    return [_difference(one.get(name), other.get(name)) for name in sorted({*one, *other})]


def _difference(one: Known | None, other: Known | None) -> Difference:
    known = one or other
    assert known is not None, "one of them has the setting"
    why = "secret" if is_secret(known.name) else why_individual(known.name)
    mutability = next((each.mutability for each in (one, other) if each is not None and each.mutability), None)
    settable = all(each is None or not each.is_read_only for each in (one, other))
    first, second = (None if each is None else each.value for each in (one, other))
    if why is not None:
        kind = Kind.LEFT_OUT
    elif one is None:
        kind = Kind.ONLY_OTHER
    elif other is None:
        kind = Kind.ONLY_ONE
    else:
        kind = Kind.SAME if same_value(first, second) else Kind.DIFFERS
    return Difference(
        name=known.name,
        kind=kind,
        one=REDACTED if why == "secret" and first else first,
        other=REDACTED if why == "secret" and second else second,
        mutability=mutability,
        settable=settable and kind is Kind.DIFFERS,
        why=why,
    )
