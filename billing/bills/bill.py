"""A bill and the inputs it was rated from, which recompute it years later. Knows no database and no clock."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import orjson

from billing.bills.billable import BillableSession
from billing.money import Money
from billing.rating.rating import Rating
from billing.rating.rating_json import time_text
from billing.rating.terms import NO_TERMS, Terms
from billing.rating.usage import Period, PeriodKind, Usage


class BillKind(StrEnum):
    """What a bill says about its session."""

    INTERIM = "interim"
    """So far; cumulative, each replaces the one before."""
    FINAL = "final"
    """Once per session; supersedes all interims and is never added to them."""
    CORRECTION = "correction"
    """In place of the bill that it names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BillSummary:
    """A stored bill without its inputs and lines."""

    session: int
    seq: int
    kind: BillKind
    as_of: datetime
    energy_wh: Decimal
    total_excl: Money
    total_tax: Money
    total_incl: Money
    total_excl_exact: Decimal
    total_incl_exact: Decimal
    tariff: str
    tariff_version: int
    policy_version: int
    engine_version: str
    inputs_hash: bytes
    corrects: int | None
    created_at: datetime
    incentives: Money
    """What third parties pay of the total with tax."""

    @property
    def payable(self) -> Money:
        """What the customer pays."""
        return self.total_incl - self.incentives

    @property
    def currency(self) -> str:
        return self.total_incl.currency

    def to_dict(self) -> dict[str, object]:
        """The shape that `bill list` prints; amounts are text, `energy_wh` is rounded half up."""
        return {
            "session": self.session,
            "kind": self.kind.value,
            "seq": self.seq,
            "as_of": self.as_of,
            "energy_wh": whole_wh(self.energy_wh),
            "total_excl_tax": self.total_excl.text,
            "total_tax": self.total_tax.text,
            "total_incl_tax": self.total_incl.text,
            "payable": self.payable.text,
            "currency": self.currency,
            "tariff": self.tariff,
            "tariff_version": self.tariff_version,
            "corrects": self.corrects,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedBill:
    """A bill that is in the database for good, for those who show it: the display, a receipt."""

    bill: BillSummary
    charge_point: str
    rating: Rating


@dataclass(frozen=True, slots=True, kw_only=True)
class BillInputs:
    """What was rated, beside tariff and policy. `facts` is the hash of the facts it was folded from, kept as a trace and priced by nobody."""

    usage: Usage
    energy_wh: Decimal
    final: bool
    facts: bytes
    terms: Terms = NO_TERMS
    _worked_out: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Text and hash once they were asked for: of a long session they are work, and none of the rest ever changes."""

    @classmethod
    def of(cls, session: BillableSession, *, final: bool, terms: Terms = NO_TERMS) -> BillInputs:
        return cls(
            usage=session.usage, energy_wh=session.energy_wh, final=final, facts=session.inputs_hash, terms=terms
        )

    @property
    def hash(self) -> bytes:
        """Of what is priced, so that it is equal exactly where the amount must be."""
        known: bytes | None = self._worked_out.get("hash")
        if known is None:
            priced = {name: value for name, value in self._body().items() if name != "facts"}
            known = self._worked_out["hash"] = hashlib.sha256(canonical_json(priced).encode()).digest()
        return known

    @property
    def text(self) -> str:
        """As canonical JSON."""
        return canonical_json(self._body())

    def _body(self) -> dict[str, Any]:
        body: dict[str, Any] | None = self._worked_out.get("body")
        if body is None:
            body = self._worked_out["body"] = self.to_dict()
        return body

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; quantities and times are text, nothing is lost."""
        return {
            "usage": {
                "time_zone": self.usage.time_zone,
                "periods": [_period_to_dict(period) for period in self.usage.periods],
            },
            "energy_wh": format(self.energy_wh, "f"),
            "final": self.final,
            "facts": self.facts.hex(),
            **({} if self.terms == NO_TERMS else {"terms": self.terms.to_dict()}),
        }

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> BillInputs:
        """Read what `to_dict` wrote and we stored; a malformed body is a bug and raises."""
        usage = body["usage"]
        return cls(
            usage=Usage(
                time_zone=usage["time_zone"], periods=tuple(_period_from_dict(period) for period in usage["periods"])
            ),
            energy_wh=Decimal(body["energy_wh"]),
            final=body["final"],
            facts=bytes.fromhex(body["facts"]),
            terms=Terms.from_dict(body.get("terms", {})),
        )


def _period_to_dict(period: Period) -> dict[str, Any]:
    return {
        "kind": period.kind.value,
        "start": time_text(period.start),
        "end": time_text(period.end),
        "energy_wh": _text(period.energy_wh),
        "power_w": _text(period.power_w),
        "current_a": _text(period.current_a),
    }


def _period_from_dict(body: Mapping[str, Any]) -> Period:
    return Period(
        kind=PeriodKind(body["kind"]),
        start=datetime.fromisoformat(body["start"]),
        end=datetime.fromisoformat(body["end"]),
        energy_wh=_decimal(body["energy_wh"]),
        power_w=_decimal(body["power_w"]),
        current_a=_decimal(body["current_a"]),
    )


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def canonical_json(value: Any) -> str:
    """JSON text that is the same for equal values, whatever order Postgres gives their keys; all of it ASCII."""
    try:
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # an integer beyond 64 bits
        text = b"\xff"
    if text.isascii():  # then it is what the standard library writes, at a fraction of the time
        return text.decode()
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def whole_wh(energy_wh: Decimal) -> int:
    """Energy as lists show it: whole Wh, half up."""
    return int(energy_wh.quantize(Decimal(1), rounding="ROUND_HALF_UP"))
