"""When a running session gets its next interim bill: a versioned choice. Knows no session and no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from billing.tariffs.ocpi_json import ObjectReader
from billing.tariffs.problem import DocumentInvalid, Problem


class InterimPolicyInvalid(DocumentInvalid):
    """This interim policy cannot be used; `problems` says where and why."""

    subject = "interim policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class InterimPolicy:
    """An interim bill is due when any of these has grown since the last one (at first: since the session's start)."""

    version: int
    every: timedelta = timedelta(minutes=15)
    every_wh: Decimal = Decimal(5000)
    every_amount: Decimal = Decimal("5.00")
    """Major units of the session's currency, tax included."""

    def to_dict(self) -> dict[str, Any]:
        """The policy as JSON values; quantities and amounts are text."""
        return {
            "version": self.version,
            "every_s": int(self.every.total_seconds()),
            "every_wh": format(self.every_wh, "f"),
            "every_amount": format(self.every_amount, "f"),
        }

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> InterimPolicy:
        """Read what `to_dict` wrote; raises InterimPolicyInvalid with every mistake."""
        problems: list[Problem] = []
        reader = ObjectReader(body, "$", problems)
        reader.refuse_unknown(_KEYS, "interim bills would not follow it")
        version = reader.integer("version", required=True)
        seconds = reader.integer("every_s", required=True)
        energy = reader.number("every_wh", required=True)
        amount = reader.number("every_amount", required=True)
        for key, value in (("every_s", seconds), ("every_wh", energy), ("every_amount", amount)):
            if value == 0:
                reader.blame(key, "is zero: a bill would always be due", "write more than zero")
        if problems or version is None or seconds is None or energy is None or amount is None:
            raise InterimPolicyInvalid(problems)
        return cls(version=version, every=timedelta(seconds=seconds), every_wh=energy, every_amount=amount)


_KEYS: Final = frozenset({"version", "every_s", "every_wh", "every_amount"})
DEFAULT_INTERIM: Final = InterimPolicy(version=1)
