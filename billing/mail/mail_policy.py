"""What an operator chooses of mail: what becomes of a doubtful one, for how long is retried, how long is kept. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from billing.tariffs.ocpi_json import ObjectReader
from billing.tariffs.problem import DocumentInvalid, Problem

RETRY_HOURS_MAX: Final = 30 * 24
RETENTION_DAYS_MAX: Final = 11 * 366


class MailPolicyInvalid(DocumentInvalid):
    """This mail policy cannot be used; `problems` says where and why."""

    subject = "mail policy"


class WhenDoubtful(StrEnum):
    """What becomes of a mail of which nobody knows whether a server has accepted it."""

    HOLD = "hold"
    """A person finds out, and settles it."""
    RESEND = "resend"
    """It is sent again with the same Message-ID: a recipient may have it twice, and never none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailPolicy:
    """`retry`: for how long after the first try a server's no for now is borne. `retention`: how long after its end what a
    mail says, to whom, and what servers said of it are kept.
    """

    version: int = 1
    when_doubtful: WhenDoubtful = WhenDoubtful.HOLD
    retry: timedelta = timedelta(hours=72)
    retention: timedelta = timedelta(days=400)

    def to_dict(self) -> dict[str, Any]:
        """The policy as JSON values."""
        return {
            "version": self.version,
            "when_doubtful": self.when_doubtful.value,
            "retry_hours": self.retry // timedelta(hours=1),
            "retention_days": self.retention.days,
        }

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> MailPolicy:
        """Read what `to_dict` wrote; raises MailPolicyInvalid with every mistake."""
        problems: list[Problem] = []
        reader = ObjectReader(body, "$", problems)
        reader.refuse_unknown(frozenset(DEFAULT_MAIL.to_dict()), "mails would not follow it")
        version = reader.integer("version", required=True)
        hours = reader.integer("retry_hours", required=True)
        days = reader.integer("retention_days", required=True)
        for key, value, most in (("retry_hours", hours, RETRY_HOURS_MAX), ("retention_days", days, RETENTION_DAYS_MAX)):
            if value is not None and not 1 <= value <= most:
                reader.blame(key, f"is not 1 to {most}", "write a number between them")
        reader.required("when_doubtful")
        doubtful = reader.choice("when_doubtful", WhenDoubtful)
        if problems or version is None or hours is None or days is None or doubtful is None:
            raise MailPolicyInvalid(problems)
        return cls(
            version=version,
            when_doubtful=doubtful,
            retry=timedelta(hours=hours),
            retention=timedelta(days=days),
        )


DEFAULT_MAIL: Final = MailPolicy()
