"""What charging stations tell of a customer (OCPP 2.0.1 N09, N10)."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerInformationReported:
    """A part of the answer to `request`. `data` is personal: it shows in no representation of this."""

    request: int
    seq_no: int
    more: bool
    data: str = field(repr=False)
    quirks: tuple[str, ...] = ()
