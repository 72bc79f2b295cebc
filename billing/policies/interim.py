"""When a running session gets its next interim bill: a versioned choice. Knows no session and no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from billing.tariffs.assignment import Customer, UserClass
from billing.tariffs.ocpi_json import ObjectReader
from billing.tariffs.problem import DocumentInvalid, Problem


class InterimPolicyInvalid(DocumentInvalid):
    """This interim policy cannot be used; `problems` says where and why."""

    subject = "interim policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What one group of customers has otherwise than everybody; None: as everybody."""

    every: timedelta | None = None
    every_wh: Decimal | None = None
    every_amount: Decimal | None = None

    def to_dict(self) -> dict[str, Any]:
        """What it says, and no more."""
        said = {
            "every_s": None if self.every is None else int(self.every.total_seconds()),
            "every_wh": None if self.every_wh is None else format(self.every_wh, "f"),
            "every_amount": None if self.every_amount is None else format(self.every_amount, "f"),
        }
        return {name: value for name, value in said.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class InterimPolicy:
    """An interim bill is due when any of these has grown since the last one (at first: since the session's start).

    `token_groups` and `user_classes` have entries of their own. One of them counts for a session: its token group's, else
    its user class's, else none; what that entry leaves open is as for everybody.
    """

    version: int
    every: timedelta = timedelta(minutes=15)
    every_wh: Decimal = Decimal(5000)
    every_amount: Decimal = Decimal("5.00")
    """Major units of the session's currency, tax included."""
    token_groups: Mapping[str, Thresholds] = field(default_factory=dict)
    user_classes: Mapping[str, Thresholds] = field(default_factory=dict)

    def of(self, customer: Customer) -> InterimPolicy:
        """The same with the thresholds of this customer's sessions."""
        entry = self._entry(customer)
        if entry is None:
            return self
        return replace(
            self,
            every=self.every if entry.every is None else entry.every,
            every_wh=self.every_wh if entry.every_wh is None else entry.every_wh,
            every_amount=self.every_amount if entry.every_amount is None else entry.every_amount,
        )

    def _entry(self, customer: Customer) -> Thresholds | None:
        if customer.token_group is not None and customer.token_group in self.token_groups:
            return self.token_groups[customer.token_group]
        return None if customer.user_class is None else self.user_classes.get(customer.user_class)

    def to_dict(self) -> dict[str, Any]:
        """The policy as JSON values; quantities and amounts are text."""
        return {
            "version": self.version,
            "every_s": int(self.every.total_seconds()),
            "every_wh": format(self.every_wh, "f"),
            "every_amount": format(self.every_amount, "f"),
            "token_groups": {name: entry.to_dict() for name, entry in sorted(self.token_groups.items())},
            "user_classes": {name: entry.to_dict() for name, entry in sorted(self.user_classes.items())},
        }

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> InterimPolicy:
        """Read what `to_dict` wrote, now or before there were entries; raises InterimPolicyInvalid with every mistake."""
        problems: list[Problem] = []
        reader = ObjectReader(body, "$", problems)
        reader.refuse_unknown(_KEYS, "interim bills would not follow it")
        version = reader.integer("version", required=True)
        said = _thresholds(reader, required=True)
        groups = _entries(body, "token_groups", problems)
        classes = _entries(body, "user_classes", problems)
        for name in classes.keys() - set(UserClass):
            known = ", ".join(UserClass)
            problems.append(
                Problem(path=f"$.user_classes.{name}", message="is no user class", next_step=f"they are {known}")
            )
        if problems or version is None or said.every is None or said.every_wh is None or said.every_amount is None:
            raise InterimPolicyInvalid(problems)
        return cls(
            version=version,
            every=said.every,
            every_wh=said.every_wh,
            every_amount=said.every_amount,
            token_groups=groups,
            user_classes=classes,
        )


def _thresholds(reader: ObjectReader, *, required: bool) -> Thresholds:
    seconds = reader.integer("every_s", required=required)
    energy = reader.number("every_wh", required=required)
    amount = reader.number("every_amount", required=required)
    for key, value in (("every_s", seconds), ("every_wh", energy), ("every_amount", amount)):
        if value == 0:
            reader.blame(key, "is zero: a bill would always be due", "write more than zero")
    return Thresholds(
        every=None if seconds is None else timedelta(seconds=seconds), every_wh=energy, every_amount=amount
    )


def _entries(body: Mapping[str, Any], key: str, problems: list[Problem]) -> dict[str, Thresholds]:
    said = body.get(key) or {}
    if not isinstance(said, Mapping) or not all(isinstance(entry, Mapping) for entry in said.values()):
        problems.append(
            Problem(path=f"$.{key}", message="is no object of objects", next_step="write names and entries")
        )
        return {}
    found = {}
    for name, entry in said.items():
        reader = ObjectReader(entry, f"$.{key}.{name}", problems)
        reader.refuse_unknown(_THRESHOLDS, "interim bills would not follow it")
        found[name] = _thresholds(reader, required=False)
        if not name.strip() or not entry:
            reader.blame("", "names nobody, or says nothing", "leave it out")
    return found


_THRESHOLDS: Final = frozenset({"every_s", "every_wh", "every_amount"})
_KEYS: Final = _THRESHOLDS | {"version", "token_groups", "user_classes"}
DEFAULT_INTERIM: Final = InterimPolicy(version=1)
