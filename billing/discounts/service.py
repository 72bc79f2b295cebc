"""What sessions are conceded, and what their bills then have used and claimed. Callers hold connection and transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from billing.discounts import store
from billing.discounts.rule import (
    Counts,
    Redemptions,
    Rule,
    Subject,
    Verdict,
    excluded,
    limit_keys,
    one_at_a_time,
    used_up,
)
from billing.discounts.store import NewClaim, Use
from billing.money import exact_decimal
from billing.rating.concessions import free_kwh_of, in_order
from billing.rating.rating import Concession, Effect, Rating
from billing.sql import Connection


async def concessions_of(connection: Connection, subjects: Mapping[int, Subject]) -> dict[int, tuple[Concession, ...]]:
    """What sessions are conceded, by session, in the order in which it acts.

    Of sessions that ended and share a limit only the first is in the result: ask for the others again when its bill is
    stored. Until the transaction ends nobody else uses what those in the result may use.
    """
    if not subjects:
        return {}
    rules, redemptions = await _rules_for(connection, subjects.values())
    fitting = {
        session: [rule for rule in rules if excluded(rule, subject, redemptions) is None]
        for session, subject in subjects.items()
    }
    chosen = one_at_a_time(fitting, subjects)
    # those that wait for a later round too: taking more while holding these would let two workers wait in a circle
    ended = [session for session in fitting if subjects[session].ended]
    keys = {key for session in ended for rule in fitting[session] for key in limit_keys(rule, subjects[session])}
    await store.lock_limits(connection, keys)
    counts = await store.counts_of(
        connection, [(rule, subjects[session]) for session in chosen for rule in fitting[session]]
    )
    return {
        session: in_order(
            rule.concession(counts[session, rule.id].used_kwh)
            for rule in fitting[session]
            if used_up(rule, counts[session, rule.id]) is None
        )
        for session in chosen
    }


async def which(connection: Connection, subject: Subject) -> list[Verdict]:
    """What each rule means for a session: those that apply in their order, then the others."""
    tokens = [] if subject.token is None else [subject.token]
    group = subject.place.customer.token_group
    rules = await store.all_rules(connection, Effect, included=(tokens, [] if group is None else [group]))
    redemptions = await store.redemptions_of(connection, [rule.id for rule in rules if rule.coupon], tokens)
    whys = {rule.id: excluded(rule, subject, redemptions) for rule in rules}
    fitting = [rule for rule in rules if whys[rule.id] is None]
    counts = await store.counts_of(connection, [(rule, subject) for rule in fitting])
    told = [_verdict(rule, whys[rule.id], counts.get((subject.session, rule.id), Counts())) for rule in rules]
    return sorted(told, key=lambda each: (each.concession is None, _stage(each.rule), each.rule.turn, each.rule.id))


def _stage(rule: Rule) -> int:
    return list(Effect).index(rule.effect)


def _verdict(rule: Rule, why: str | None, counts: Counts) -> Verdict:
    why = why or used_up(rule, counts)
    if why is not None:
        return Verdict(rule=rule, why=why)
    concession = rule.concession(counts.used_kwh)
    left = f"{concession.left_kwh:f} kWh left" if concession.left_kwh and rule.basis == "free_kwh" else ""
    if left and not rule.whole_life:
        left += " this month"
    return Verdict(rule=rule, why=left or _because(rule), concession=concession)


def _because(rule: Rule) -> str:
    where = "everywhere" if rule.target is None else f"{rule.scope.value} {rule.target}"
    return f"{where}, since {rule.valid_from.isoformat()}"


async def _rules_for(connection: Connection, subjects: Iterable[Subject]) -> tuple[list[Rule], Redemptions]:
    known = list(subjects)
    return await store.rules_for(
        connection,
        tokens={each.token for each in known if each.token is not None},
        token_groups={group for each in known if (group := each.place.customer.token_group) is not None},
        since=min(each.place.at for each in known),
        until=max(each.place.at for each in known),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """A final bill or a correction that has just been stored."""

    subject: Subject
    seq: int
    rating: Rating
    is_correction: bool


async def book(connection: Connection, bills: Collection[Booked], *, created_at: datetime) -> None:
    """Count what bills used, and claim what third parties pay; of a correction the difference to what was claimed."""
    await store.insert_uses(connection, [use for bill in bills for use in _uses(bill)])
    corrected = {bill.subject.session for bill in bills if bill.is_correction}
    before = await store.claims_before(connection, corrected) if corrected else {}
    claims = [claim for bill in bills for claim in _claims(bill, before)]
    await store.insert_claims(connection, claims, created_at=created_at)


def _uses(bill: Booked) -> list[Use]:
    rating, subject = bill.rating, bill.subject
    free = free_kwh_of(rating.concessions, rating.energy_wh)
    return [
        Use(
            session=subject.session,
            seq=bill.seq,
            rule=each.id,
            token=subject.token,
            token_group=subject.place.customer.token_group,
            month=subject.month,
            free_kwh=free.get(each.id, Decimal(0)),
            amount=exact_decimal(_amount(rating, each)),
            currency=rating.currency,
        )
        for each in rating.concessions
    ]


def _amount(rating: Rating, concession: Concession) -> Fraction:
    """With tax; what it added to the bill, or to what is payable."""
    lines = sum((line.incl_tax for line in rating.adjustments if line.concession == concession.id), Fraction(0))
    return lines - sum(each.exact for each in rating.incentives if each.concession == concession.id)


def _claims(bill: Booked, before: Mapping[tuple[int, str, str], int]) -> list[NewClaim]:
    session, currency = bill.subject.session, bill.rating.currency
    owed = {(party, known): -amount for (own, party, known), amount in before.items() if own == session}
    for each in bill.rating.incentives:
        owed[each.party, currency] = owed.get((each.party, currency), 0) + each.amount.minor
    return [
        NewClaim(session=session, seq=bill.seq, party=party, currency=known, amount_minor=amount)
        for (party, known), amount in sorted(owed.items())
        if amount
    ]
