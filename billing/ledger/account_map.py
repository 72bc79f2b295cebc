"""By which numbers the general ledger knows our accounts. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from billing.ledger.entry import AccountKind, LedgerAccount

ANY = "*"
"""In a pattern: any run of characters, also none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """Accounts of a kind whose owner fits the pattern have this number; `tax_key` is DATEV's, if their lines bear one."""

    kind: AccountKind
    pattern: str
    number: str
    tax_key: str | None = None

    def fits(self, account: LedgerAccount) -> bool:
        if account.kind is not self.kind:
            return False
        parts = (re.escape(part) for part in self.pattern.split(ANY))
        return re.fullmatch(".*".join(parts), account.owner, re.DOTALL) is not None

    @property
    def order(self) -> tuple[bool, int, str]:
        """Of several that fit the least counts: a whole owner before a pattern, then who names more characters."""
        return (ANY in self.pattern, -len(self.pattern.replace(ANY, "")), self.pattern)


class AccountMap:
    """What is mapped, asked account by account."""

    def __init__(self, rows: Iterable[Mapped]) -> None:
        self._rows = sorted(rows, key=lambda row: row.order)
        self._found: dict[LedgerAccount, Mapped | None] = {}

    def find(self, account: LedgerAccount) -> Mapped | None:
        if account not in self._found:
            self._found[account] = next((row for row in self._rows if row.fits(account)), None)
        return self._found[account]

    def number(self, account: LedgerAccount) -> str:
        """Empty where it is not mapped."""
        mapped = self.find(account)
        return "" if mapped is None else mapped.number

    def unmapped(self, accounts: Iterable[LedgerAccount]) -> list[LedgerAccount]:
        """Those that the general ledger would not know, in order."""
        return sorted((each for each in set(accounts) if self.find(each) is None), key=str)
