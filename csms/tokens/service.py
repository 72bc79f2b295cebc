"""Tokens: their state at an instant, and the operator's decisions about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from billing import AlreadyDone, NotFound, Queries, Refused, UserClass
from csms.protocol.vocabulary import TokenVerdict
from csms.tokens.token import UID_LENGTH_MAX, Token, canonical, verdict

SQL = Queries.load(__package__)


async def verdicts_at(
    connection: Any, presented: Sequence[tuple[str, datetime]]
) -> dict[tuple[str, datetime], TokenVerdict]:
    """May these tokens charge at these instants? By canonical id and instant, one statement for all."""
    known = await tokens_at(connection, presented)
    return {key: verdict(token, at=key[1]) for key, token in known.items()}


async def tokens_at(
    connection: Any, presented: Sequence[tuple[str, datetime]]
) -> dict[tuple[str, datetime], Token | None]:
    """These tokens as they stood at these instants; None: not known then. One statement for all."""
    wanted = sorted({(canonical(uid), at) for uid, at in presented})
    if not wanted:
        return {}
    rows = await SQL.tokens_at.fetch(connection, uids=[uid for uid, _ in wanted], ats=[at for _, at in wanted])
    found = {wanted[row["n"] - 1]: _token(row) for row in rows}
    return {key: found.get(key) for key in wanted}


def _token(row: Any) -> Token:
    user_class = row["user_class"]
    return Token(
        uid=row["uid"],
        kind=row["kind"],
        at=row["at"],
        group=row["group_id"],
        expires_at=row["expires_at"],
        user_class=None if user_class is None else UserClass(user_class),
    )


async def issue(
    connection: Any,
    uid: str,
    *,
    group: str | None,
    expires_at: datetime | None,
    actor: str,
    user_class: UserClass | None = None,
) -> Token:
    """Make a token known. Issuing it again changes its group, class and expiry."""
    name = canonical(uid)
    if not name or len(name) > UID_LENGTH_MAX:
        raise Refused(f"a token id has 1 to {UID_LENGTH_MAX} characters", "shorten it as the charge points send it")
    token = await _newest(connection, name)
    if token is not None and token.kind == "blocked":
        raise Refused(f"token {name} is blocked", f"unblock it: csms token unblock {name}")
    if token is not None and (token.group, token.user_class, token.expires_at) == (group, user_class, expires_at):
        raise AlreadyDone(f"token {name} is issued already", "nothing to do")
    made = Token(
        uid=name, kind="issued", at=datetime.now(UTC), group=group, expires_at=expires_at, user_class=user_class
    )
    await _decide(connection, made, reason=None, actor=actor)
    return made


async def block(connection: Any, uid: str, *, reason: str | None, actor: str) -> Token:
    return await _change(connection, uid, "blocked", reason=reason, actor=actor)


async def unblock(connection: Any, uid: str, *, reason: str | None, actor: str) -> Token:
    return await _change(connection, uid, "unblocked", reason=reason, actor=actor)


async def newest(connection: Any) -> list[Token]:
    """The newest decision about each token."""
    return [_token(row) for row in await SQL.list_tokens.fetch(connection, uid=None)]


async def list_tokens(connection: Any) -> list[dict[str, Any]]:
    """Every token as it stands now."""
    rows = await SQL.list_tokens.fetch(connection, uid=None)
    now = datetime.now(UTC)
    return [
        {
            "id": row["uid"],
            "status": str(verdict(_token(row), at=now).status),
            "group": row["group_id"],
            "class": row["user_class"],
            "expires_at": row["expires_at"],
            "since": row["at"],
            "reason": row["reason"],
        }
        for row in rows
    ]


async def _newest(connection: Any, name: str) -> Token | None:
    row = await SQL.list_tokens.fetchrow(connection, uid=name)
    return None if row is None else _token(row)


async def _change(connection: Any, uid: str, kind: str, *, reason: str | None, actor: str) -> Token:
    name = canonical(uid)
    token = await _newest(connection, name)
    if token is None:
        raise NotFound(f"no token {name}", f"issue it: csms token issue {name}")
    if (token.kind == "blocked") == (kind == "blocked"):
        raise AlreadyDone(f"token {name} is {'' if kind == 'blocked' else 'not '}blocked already", "nothing to do")
    changed = replace(token, kind=kind, at=datetime.now(UTC))
    await _decide(connection, changed, reason=reason, actor=actor)
    return changed


async def _decide(connection: Any, token: Token, *, reason: str | None, actor: str) -> None:
    await SQL.insert_token_event.execute(
        connection, uid=token.uid, kind=token.kind, group_id=token.group,
        user_class=None if token.user_class is None else str(token.user_class), expires_at=token.expires_at,
        reason=reason, actor=actor,
    )  # fmt: skip
