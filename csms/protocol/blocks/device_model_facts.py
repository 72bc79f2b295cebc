"""What a charging station's device model says of a variable besides its value (OCPP 2.0.1 Part 1 section 4)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """Target, MinSet or MaxSet of a variable; what is Actual is its setting."""

    type: str
    value: str | None
    mutability: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableDescribed:
    """`limit_min` and `limit_max` as told, without zeros that say nothing. `is_` None: it does not say."""

    name: str
    data_type: str | None = None
    unit: str | None = None
    limit_min: str | None = None
    limit_max: str | None = None
    values: tuple[str, ...] = ()
    elements_max: int | None = None
    is_monitored: bool | None = None
    is_persistent: bool | None = None
    is_constant: bool | None = None
    attributes: tuple[Attribute, ...] = ()
