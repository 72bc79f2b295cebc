"""The kinds of policies that an operator may choose, each a small document of names and values. Knows no database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from billing.errors import Refused
from billing.mail.mail_policy import DEFAULT_MAIL, MailPolicy
from billing.policies.interim import DEFAULT_INTERIM, InterimPolicy
from billing.rating.policy import DEFAULT_POLICY, RatingPolicy

_TRUTH: Final = {"true": True, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyKind:
    """`check` takes a body and gives it back as it is stored; it raises ValueError with what is wrong.

    `fixed`: names that are in the body and chosen elsewhere, and where. `entries`: names under which groups of customers
    have values of their own, and the option that names one of them.
    """

    name: str
    decides: str
    default: Mapping[str, Any]
    check: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    fixed: Mapping[str, str] = field(default_factory=dict)
    entries: Mapping[str, str] = field(default_factory=dict)

    def changed(
        self, body: Mapping[str, Any], words: Sequence[str], *, entry: tuple[str, str] | None = None
    ) -> Mapping[str, Any]:
        """`body` as the words NAME=VALUE change it; with `entry` only for those customers, where `none` takes a value back.

        Raises:
            Refused: a word is no pair, a name is unknown or chosen elsewhere, a value is none of its kind.
        """
        changes: dict[str, Any] = {}
        for word in words:
            name, separator, value = word.partition("=")
            if not separator:
                raise Refused(f"{word!r} is no NAME=VALUE", "write it as every_wh=2000")
            self._require_known(name, body)
            changes[name] = _value(value, body[name])
        if entry is not None:
            changes = self._entry_changed(body, changes, entry)
        try:
            return self.check({**body, **changes})
        except ValueError as wrong:
            raise Refused(str(wrong), f"see csms policy show {self.name}") from wrong

    def _entry_changed(
        self, body: Mapping[str, Any], changes: Mapping[str, Any], entry: tuple[str, str]
    ) -> dict[str, Any]:
        key, customers = entry
        if key not in self.entries:
            raise Refused(f"the {self.name} policy is the same for everybody", "set it without naming customers")
        said = {**body.get(key, {}).get(customers, {}), **changes}
        kept = {name: value for name, value in said.items() if value is not None and str(value).lower() != "none"}
        others = {name: each for name, each in body.get(key, {}).items() if name != customers}
        return {key: {**others, **({customers: kept} if kept else {})}}

    def _require_known(self, name: str, body: Mapping[str, Any]) -> None:
        if name in self.fixed:
            raise Refused(f"{name} is not chosen here", self.fixed[name])
        if name in self.entries:
            raise Refused(f"{name} are not set as a whole", f"name one: {self.entries[name]} NAME every_wh=1000")
        if name not in body or name == "version":
            names = ", ".join(sorted(body.keys() - self.fixed.keys() - self.entries.keys() - {"version"}))
            raise Refused(f"the {self.name} policy has no {name!r}", f"it has {names}")


def _value(text: str, present: object) -> Any:
    """The value that a text means where `present` stands: what is whole or true stays of its kind."""
    if isinstance(present, bool):
        return _TRUTH.get(text.lower(), text)
    if isinstance(present, int):
        try:
            return int(text)
        except ValueError:
            return text
    return None if text.lower() == "none" else text


def _with_tax_point(policy: RatingPolicy) -> Mapping[str, Any]:
    """Said even where it is the usual one: what is not there cannot be shown or set."""
    return {**policy.to_dict(), "tax_point": policy.tax_point.value}


INTERIM: Final = PolicyKind(
    name="interim",
    decides="when a running session gets its next interim bill",
    default=DEFAULT_INTERIM.to_dict(),
    check=lambda body: InterimPolicy.from_dict(body).to_dict(),
    entries={"token_groups": "--token-group", "user_classes": "--class"},
)
RATING: Final = PolicyKind(
    name="rating",
    decides="how amounts are rounded, what is waived, and the day whose taxes hold",
    default=_with_tax_point(DEFAULT_POLICY),
    check=lambda body: _with_tax_point(RatingPolicy.from_dict(body)),
)
MAIL: Final = PolicyKind(
    name="mail",
    decides="what becomes of a doubtful mail, and for how long mails are retried and kept",
    default=DEFAULT_MAIL.to_dict(),
    check=lambda body: MailPolicy.from_dict(body).to_dict(),
)
POLICY_KINDS: Final = (INTERIM, RATING, MAIL)
