"""May a token that may charge still pay: what the limits of its costs leave a new session (RULES.md 17)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from billing import without_credit
from csms.protocol.vocabulary import TokenStatus, TokenVerdict
from csms.tokens.token import canonical


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """A token as it was shown at a charge point, with what is known of it otherwise."""

    token: str
    charge_point: str
    verdict: TokenVerdict


async def heeding_credit(connection: Any, presented: Sequence[Presented], *, at: datetime) -> list[TokenVerdict]:
    """The verdicts in the same order, NoCredit in place of Accepted where limits leave nothing."""
    asked = [each for each in presented if each.verdict.status is TokenStatus.ACCEPTED]
    if not asked:
        return [each.verdict for each in presented]
    buyers = [(canonical(each.token), each.verdict.group, each.charge_point) for each in asked]
    broke = await without_credit(connection, buyers, at)
    refused = {id(each) for each, is_broke in zip(asked, broke, strict=True) if is_broke}
    return [
        replace(each.verdict, status=TokenStatus.NO_CREDIT) if id(each) in refused else each.verdict
        for each in presented
    ]
