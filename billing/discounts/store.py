"""Rules and their uses in the database: rows to values and back. Decides nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from billing.discounts.rule import Bearer, Counts, End, Redemptions, Rule, Subject
from billing.rating.rating import Basis, ComponentName, Effect
from billing.sql import Connection, Queries
from billing.tariffs.assignment import Audience, Scope, UserClass

SQL: Final = Queries.load("billing.discounts")

LOCK_SPACE: Final = 0x7573_6573
"""Of the advisory locks on limits ("uses" in ASCII)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a bill used of a rule; see concession_use."""

    session: int
    seq: int
    rule: str
    token: str | None
    token_group: str | None
    month: date
    free_kwh: Decimal
    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewClaim:
    """What a party owes of a bill, or no longer owes if negative; in the currency's minor unit."""

    session: int
    seq: int
    party: str
    currency: str
    amount_minor: int


async def lock_limits(connection: Connection, keys: Collection[str]) -> None:
    """Held until the transaction ends; whoever else wants one of them waits."""
    if keys:
        await SQL.lock_limits.execute(connection, space=LOCK_SPACE, keys=sorted(keys))


async def rules_for(
    connection: Connection, *, tokens: Collection[str], token_groups: Collection[str], since: datetime, until: datetime
) -> tuple[list[Rule], Redemptions]:
    """The rules that may concern sessions of these tokens and groups, begun in a span; with redemptions of their coupons."""
    rows = await SQL.rules_for.fetch(
        connection, tokens=sorted(tokens), token_groups=sorted(token_groups), since=since, until=until
    )
    rules = await _with_ends(connection, rows)
    coupons = [rule.id for rule in rules if rule.coupon is not None]
    return rules, await redemptions_of(connection, coupons, tokens) if coupons else {}


async def redemptions_of(connection: Connection, rules: Iterable[str], tokens: Collection[str]) -> Redemptions:
    found = await SQL.redemptions_of.fetch(connection, rules=sorted(rules), tokens=sorted(tokens))
    return {(row["rule"], row["token"]): row["redeemed_at"] for row in found}


async def all_rules(
    connection: Connection,
    effects: Iterable[Effect],
    *,
    included: tuple[Collection[str], Collection[str]] | None = ((), ()),
) -> list[Rule]:
    """Every rule of these effects. Of those that contracts make for the kWh in their plans only those of some tokens and
    token groups, None: all.
    """
    tokens, token_groups = included if included is not None else ((), ())
    rows = await SQL.all_rules.fetch(
        connection, effects=[each.value for each in effects], included=included is None, tokens=sorted(tokens),
        token_groups=sorted(token_groups),
    )  # fmt: skip
    return await _with_ends(connection, rows)


async def find_rule(connection: Connection, id_: str) -> Rule | None:
    found = await _with_ends(connection, await SQL.find_rule.fetch(connection, id=id_))
    return found[0] if found else None


async def find_coupon(connection: Connection, code: str) -> Rule | None:
    found = await _with_ends(connection, await SQL.find_coupon.fetch(connection, code=code))
    return found[0] if found else None


async def insert_rule(connection: Connection, rule: Rule, *, actor: str) -> bool:
    """False: its id or its coupon's code is taken."""
    audience = rule.audience
    stored = await SQL.insert_rule.fetchval(
        connection,
        id=rule.id, label=rule.label, effect=rule.effect.value, basis=rule.basis.value, value=rule.value,
        currency=rule.currency, component=None if rule.component is None else rule.component.value, vat=rule.vat,
        party=rule.party, turn=rule.turn, scope=rule.scope.value, target=rule.target, token_group=audience.token_group,
        user_class=None if audience.user_class is None else audience.user_class.value, product=audience.product,
        token=rule.token, tariff=rule.tariff, coupon=rule.coupon, redemptions_max=rule.redemptions_max,
        uses_max=rule.uses_max, uses_each_max=rule.uses_each_max, last_month_kwh_min=rule.last_month_kwh_min,
        whole_life=rule.whole_life, bearer=rule.bearer.value, valid_from=rule.valid_from, valid_to=rule.valid_to, entered_at=rule.entered_at,
        actor=actor,
    )  # fmt: skip
    return stored is not None


async def counts_of(connection: Connection, asked: Sequence[tuple[Rule, Subject]]) -> dict[tuple[int, str], Counts]:
    """What is known of each pair, by session and rule; none where the rule asks for nothing."""
    counted = [(rule, subject) for rule, subject in asked if rule.is_counted]
    loyal = [(rule, subject) for rule, subject in asked if rule.last_month_kwh_min is not None]
    used = await _uses(connection, counted) if counted else {}
    charged = await _last_month(connection, loyal) if loyal else {}
    return {
        (subject.session, rule.id): _counts(
            used.get((subject.session, rule.id)), charged.get((subject.session, rule.id))
        )
        for rule, subject in asked
    }


def _counts(used: Any, charged: Decimal | None) -> Counts:
    last = Decimal(0) if charged is None else charged
    if used is None:
        return Counts(last_month_kwh=last)
    return Counts(uses=used["uses"], uses_each=used["uses_each"], used_kwh=used["kwh"], last_month_kwh=last)


async def _uses(connection: Connection, counted: Sequence[tuple[Rule, Subject]]) -> dict[tuple[int, str], Any]:
    rows = await SQL.uses_of.fetch(
        connection,
        rules=[rule.id for rule, _ in counted],
        tokens=[_bearer(rule, subject, Bearer.TOKEN) for rule, subject in counted],
        token_groups=[_bearer(rule, subject, Bearer.TOKEN_GROUP) for rule, subject in counted],
        months=[subject.month for _, subject in counted],
        sessions=[subject.session for _, subject in counted],
        of_all=[rule.uses_max is not None for rule, _ in counted],
        of_life=[rule.whole_life for rule, _ in counted],
    )
    return {(counted[row["n"] - 1][1].session, counted[row["n"] - 1][0].id): row for row in rows}


async def _last_month(connection: Connection, loyal: Sequence[tuple[Rule, Subject]]) -> dict[tuple[int, str], Decimal]:
    """What bearers charged in the month before, each asked once."""
    found: dict[tuple[int, str], Decimal] = {}
    for kind, query, name in (
        (Bearer.TOKEN, SQL.kwh_of_tokens, "tokens"),
        (Bearer.TOKEN_GROUP, SQL.kwh_of_token_groups, "token_groups"),
    ):
        asked = [(rule, subject) for rule, subject in loyal if rule.bearer is kind]
        keys = sorted({(str(subject.bearer(kind)), *subject.month_before) for _, subject in asked})
        if not keys:
            continue
        rows = await query.fetch(
            connection,
            **{name: [key[0] for key in keys]},
            sinces=[key[1] for key in keys],
            untils=[key[2] for key in keys],
        )
        kwh = {keys[row["n"] - 1]: row["wh"].scaleb(-3) for row in rows}
        found |= {
            (subject.session, rule.id): kwh[str(subject.bearer(kind)), *subject.month_before] for rule, subject in asked
        }
    return found


def _bearer(rule: Rule, subject: Subject, kind: Bearer) -> str | None:
    return subject.bearer(kind) if rule.counts_each and rule.bearer is kind else None


async def insert_uses(connection: Connection, uses: Sequence[Use]) -> None:
    if not uses:
        return
    await SQL.insert_uses.execute(
        connection,
        sessions=[each.session for each in uses],
        seqs=[each.seq for each in uses],
        rules=[each.rule for each in uses],
        tokens=[each.token for each in uses],
        token_groups=[each.token_group for each in uses],
        months=[each.month for each in uses],
        free_kwhs=[each.free_kwh for each in uses],
        amounts=[each.amount for each in uses],
        currencies=[each.currency for each in uses],
    )


async def claims_before(connection: Connection, sessions: Collection[int]) -> dict[tuple[int, str, str], int]:
    """What parties owe so far, by session, party and currency."""
    rows = await SQL.claims_before.fetch(connection, sessions=sorted(sessions))
    return {(row["session"], row["party"], row["currency"]): row["amount_minor"] for row in rows}


async def insert_claims(connection: Connection, claims: Sequence[NewClaim], *, created_at: datetime) -> None:
    if not claims:
        return
    await SQL.insert_claims.execute(
        connection,
        sessions=[each.session for each in claims],
        seqs=[each.seq for each in claims],
        parties=[each.party for each in claims],
        currencies=[each.currency for each in claims],
        amounts=[each.amount_minor for each in claims],
        created_at=created_at,
    )


async def _with_ends(connection: Connection, rows: Sequence[Any]) -> list[Rule]:
    if not rows:
        return []
    ends: dict[str, list[End]] = {}
    for row in await SQL.ends_of.fetch(connection, rules=[row["id"] for row in rows]):
        ends.setdefault(row["rule"], []).append(End(valid_to=row["valid_to"], entered_at=row["entered_at"]))
    return [_rule(row, ends.get(row["id"], [])) for row in rows]


def _rule(row: Mapping[str, Any], ends: Sequence[End]) -> Rule:
    user_class = row["user_class"]
    return Rule(
        id=row["id"], label=row["label"], effect=Effect(row["effect"]), basis=Basis(row["basis"]), value=row["value"],
        turn=row["turn"], currency=row["currency"], vat=row["vat"], party=row["party"], scope=Scope(row["scope"]),
        component=None if row["component"] is None else ComponentName(row["component"]), target=row["target"],
        audience=Audience(
            token_group=row["token_group"],
            user_class=None if user_class is None else UserClass(user_class),
            product=row["product"],
        ),
        token=row["token"], tariff=row["tariff"], coupon=row["coupon"], redemptions_max=row["redemptions_max"],
        uses_max=row["uses_max"], uses_each_max=row["uses_each_max"], last_month_kwh_min=row["last_month_kwh_min"],
        whole_life=row["whole_life"], bearer=Bearer(row["bearer"]), valid_from=row["valid_from"], valid_to=row["valid_to"],
        entered_at=row["entered_at"], ends=tuple(ends),
    )  # fmt: skip
