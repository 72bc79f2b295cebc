"""Entering rules, ending them and redeeming coupons. Each act is a row; nothing is ever changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from billing.discounts import store
from billing.discounts.rule import End, Rule
from billing.discounts.store import SQL
from billing.errors import AlreadyDone, NotFound, Refused
from billing.money import MINOR_DIGITS
from billing.rating.rating import Basis, Effect
from billing.sql import Connection
from billing.tariffs import service as tariffs
from billing.tariffs.assignment import Scope
from billing.tariffs.store import SQL as TARIFFS

ALL_OF_IT: Final = Decimal(100)
"""Percent."""


async def add(connection: Connection, wanted: Rule, *, actor: str) -> Rule:
    """Enter a rule. Sessions that began before `wanted.entered_at` never get it, whatever its begin.

    Its currency, where its value is an amount and none is named, is that of the place, or of all sites.

    Raises:
        NotFound: no such place, token or tariff.
        Refused: it says what no rule can, or which currency is not clear.
        AlreadyDone: there is a rule of this id, or this coupon code.
    """
    mistake = _mistake(wanted)
    if mistake is not None:
        raise Refused(f"{wanted.effect.value} {wanted.id}: {mistake}", f"see csms {wanted.effect.value} add --help")
    target, currencies = await _place(connection, wanted)
    rule = replace(wanted, target=target, currency=_currency(wanted, currencies))
    if rule.token is not None:
        await _require_token(connection, rule.token)
    if rule.tariff is not None and not await SQL.tariff_known.fetchval(connection, tariff=rule.tariff):
        raise NotFound(f"no tariff {rule.tariff}", "list them with csms tariff list")
    if not await store.insert_rule(connection, rule, actor=actor):
        known = await store.find_rule(connection, rule.id)
        if known is not None:
            raise AlreadyDone(
                f"there is a {known.effect.value} {known.id}", "rules never change: end it and add one of another id"
            )
        raise AlreadyDone(f"coupon {rule.coupon} belongs to another discount", "choose another --coupon")
    return rule


async def end(
    connection: Connection, effect: Effect, id_: str, *, valid_to: datetime, now: datetime, actor: str
) -> Rule:
    """From `valid_to` on the rule holds no more; sessions that began before keep it.

    Raises:
        NotFound: no such rule.
        AlreadyDone: it ends by then already.
    """
    rule = await require(connection, effect, id_)
    ended_at = rule.ended_at(now)
    if ended_at is not None and ended_at <= valid_to:
        raise AlreadyDone(f"{effect.value} {rule.id} ends at {ended_at.isoformat()}", "nothing to do")
    await SQL.insert_end.execute(connection, rule=rule.id, valid_to=valid_to, entered_at=now, actor=actor)
    return replace(rule, ends=(*rule.ends, End(valid_to=valid_to, entered_at=now)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Redemption:
    """A coupon that a token has now; `redemptions`: for how many it was redeemed."""

    rule: Rule
    token: str
    redeemed_at: datetime
    redemptions: int


async def redeem(connection: Connection, code: str, token: str, *, now: datetime, actor: str) -> Redemption:
    """Give a token what a coupon gives, in sessions that begin from now on.

    Raises:
        NotFound: no such code or token.
        Refused: the coupon does not hold now, or was redeemed as often as it may be.
        AlreadyDone: this token has it.
    """
    rule = await store.find_coupon(connection, code)
    if rule is None:
        raise NotFound(f"no coupon {code.upper()}", "list them with csms discount list")
    uid = token.strip().upper()
    await _require_token(connection, uid)
    await store.lock_limits(connection, {f"redeem {rule.id}"})
    ended_at = rule.ended_at(now)
    if ended_at is not None and ended_at <= now:
        raise Refused(f"coupon {rule.coupon} ended at {ended_at.isoformat()}", "see csms discount show " + rule.id)
    count = await SQL.count_redemptions.fetchval(connection, rule=rule.id)
    if (rule.id, uid) in await store.redemptions_of(connection, [rule.id], [uid]):
        raise AlreadyDone(f"coupon {rule.coupon} is redeemed for token {uid} already", "nothing to do")
    if rule.redemptions_max is not None and count >= rule.redemptions_max:
        raise Refused(
            f"coupon {rule.coupon} was redeemed for {count} tokens of {rule.redemptions_max}",
            f"see csms discount show {rule.id}",
        )
    await SQL.insert_redemption.execute(connection, rule=rule.id, token=uid, redeemed_at=now, actor=actor)
    return Redemption(rule=rule, token=uid, redeemed_at=now, redemptions=count + 1)


async def require(connection: Connection, effect: Effect, id_: str) -> Rule:
    """The rule of this id.

    Raises:
        NotFound: there is none with this effect.
    """
    rule = await store.find_rule(connection, id_)
    if rule is None or rule.effect is not effect:
        raise NotFound(f"no {effect.value} {id_}", f"list them with csms {effect.value} list")
    return rule


def _mistake(rule: Rule) -> str | None:
    """What is wrong with a rule that is to be entered."""
    if rule.value <= 0:
        return f"its value, {rule.value:f}, is not above zero"
    if rule.effect is not Effect.SURCHARGE and rule.basis is Basis.PERCENT and rule.value > ALL_OF_IT:
        return f"{rule.value:f} % is more than there is"
    if rule.valid_to is not None and rule.valid_to <= rule.valid_from:
        return f"its end, {rule.valid_to.isoformat()}, is not after its begin, {rule.valid_from.isoformat()}"
    if rule.redemptions_max is not None and rule.coupon is None:
        return "only a coupon is redeemed"
    if rule.currency is not None and rule.basis not in {Basis.FIXED, Basis.PER_KWH}:
        return "only an amount has a currency"
    return None


async def _place(connection: Connection, rule: Rule) -> tuple[str | None, set[str]]:
    """The target as it is stored, and the currencies of what it means."""
    if rule.scope is Scope.DEFAULT or rule.target is None:
        return None, {row["currency"] for row in await TARIFFS.site_currencies.fetch(connection)}
    target, places = await tariffs.places_of(connection, rule.scope, rule.target)
    return target, {currency for _, currency in places}


def _currency(rule: Rule, currencies: set[str]) -> str | None:
    if rule.basis not in {Basis.FIXED, Basis.PER_KWH}:
        return None
    if rule.currency is None and len(currencies) != 1:
        known = ", ".join(sorted(currencies)) or "none"
        raise Refused(
            f"{rule.effect.value} {rule.id} is an amount, and its sites' currencies are {known}",
            "say which: --currency",
        )
    chosen = rule.currency or next(iter(currencies))
    if chosen not in MINOR_DIGITS:
        raise Refused(f"{chosen} is no currency of ISO 4217", "write one such as EUR")
    if currencies and chosen not in currencies:
        raise Refused(
            f"{rule.effect.value} {rule.id} is in {chosen}, its sites in {', '.join(sorted(currencies))}",
            "give it the currency of the sites: --currency",
        )
    return chosen


async def _require_token(connection: Connection, token: str) -> None:
    if not await SQL.token_known.fetchval(connection, token=token):
        raise NotFound(f"no token {token}", "issue it first: csms token issue")
