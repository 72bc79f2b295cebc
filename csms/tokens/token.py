"""May this token charge: a token's history folded to its state at an instant. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from billing import UserClass
from csms.protocol.vocabulary import TokenStatus, TokenVerdict

UID_LENGTH_MAX = 36  # OCPP 2.0.1 IdTokenType; 1.6 sends at most 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token's newest decision: `kind` issued, blocked or unblocked, since `at`. `user_class` None: nobody said."""

    uid: str
    kind: str
    at: datetime
    group: str | None = None
    expires_at: datetime | None = None
    user_class: UserClass | None = None


def canonical(uid: str) -> str:
    """Token ids compare case-insensitively (OCPP 1.6 idToken type CiString, 2.0.1 identifierString)."""
    return uid.strip().upper()


def verdict(token: Token | None, *, at: datetime) -> TokenVerdict:
    """May the token charge at this instant? `token` is its newest decision up to then; None: never issued."""
    if token is None:
        return TokenVerdict(status=TokenStatus.INVALID)
    if token.kind == "blocked":
        return TokenVerdict(status=TokenStatus.BLOCKED, group=token.group)
    if token.expires_at is not None and token.expires_at <= at:
        return TokenVerdict(status=TokenStatus.EXPIRED, group=token.group, expires_at=token.expires_at)
    return TokenVerdict(status=TokenStatus.ACCEPTED, group=token.group, expires_at=token.expires_at)
