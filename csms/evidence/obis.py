"""OBIS codes as meters write them into OCMF, and which of them is billed. Pure.

Writers differ: 1-0:1.8.0, 1-b:1.8.e, 01-00:01.08.00*FF, 01-00:B2.08.00.FF. All parts are hexadecimal (OCMF table 25, after
IEC 62056-6-1), leading zeros mean nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_CODE = re.compile(
    r"(?:([0-9a-f]{1,2})-([0-9a-f]{1,2}):)?([0-9a-f]{1,2})\.([0-9a-f]{1,2})\.([0-9a-f]{1,2})(?:[.*&]([0-9a-fx]{1,3}))?"
)
_ANY_TARIFF = 0xE
"""`1.8.e` is written for 1.8.0: the total of all tariffs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """A register by its OBIS code: `channel` is A and B, None where the code names no channel; `quantity` is C, D, E."""

    channel: tuple[int, int] | None
    quantity: tuple[int, int, int]

    @classmethod
    def read(cls, code: str) -> Register | None:
        """None where `code` is no OBIS code."""
        found = _CODE.fullmatch(code.strip().casefold())
        if found is None:
            return None
        a, b, c, d, e = (None if part is None else int(part, 16) for part in found.groups()[:5])
        assert c is not None
        assert d is not None
        assert e is not None
        channel = None if a is None or b is None else (a, b)
        return cls(channel=channel, quantity=(c, d, 0 if e == _ANY_TARIFF else e))

    def covers(self, other: Register) -> bool:
        """The same register, or one of any channel where this one names none."""
        return self.quantity == other.quantity and self.channel in {None, other.channel}

    def __str__(self) -> str:
        quantity = ".".join(f"{part:x}" for part in self.quantity).upper()
        return quantity if self.channel is None else f"{self.channel[0]:x}-{self.channel[1]:x}:".upper() + quantity


IMPORT_TOTAL = Register(channel=None, quantity=(1, 8, 0))
"""Energy to the vehicle, the total of all tariffs, of any channel: what is billed unless an operator says otherwise."""
