"""How documents are to be sent, and what became of each. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A document is in the queue of mails, to whom and with how many files. `message` None: only tried."""

    number: str
    account: str
    address: str
    files: int
    message: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SentBefore:
    """It went out before, and is not sent again by itself."""

    number: str
    account: str | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """It cannot be sent as things are: why, and whose move it is."""

    number: str
    account: str | None
    why: str
    next_step: str


Told = Sent | SentBefore | LeftOut


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How documents are sent. `again`: once more, whatever was sent before; then with a reason."""

    actor: str
    again: bool = False
    reason: str | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """The documents of a seller that were issued on these days, both included."""

    seller: str
    since: date
    until: date


@dataclass(slots=True)
class SendTally:
    """How a run went. `left_out` counts what somebody has to look at."""

    sent: int = 0
    before: int = 0
    left_out: int = 0

    def count(self, told: Told) -> None:
        match told:
            case Sent():
                self.sent += 1
            case SentBefore():
                self.before += 1
            case LeftOut():
                self.left_out += 1
