"""An operator's act: a session rated anew. Its bill is not changed; a correction stands in its place (RULES.md 14, 22)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from billing.bills import ceiling, store
from billing.bills.bill import BillInputs, BillKind, BillSummary
from billing.bills.billable import BillableSession, SessionSource
from billing.bills.issuing import issue
from billing.bills.measuring import objection
from billing.bills.stay import with_stay
from billing.bills.store import BillsOfSession, DraftBill, RatingState
from billing.bills.terms import Priced, terms_of
from billing.errors import AlreadyDone, NotFound, Refused
from billing.money import Money
from billing.policies import store as policy_store
from billing.policies.policies import Policies
from billing.rating.engine import rate
from billing.rating.terms import Terms, Undecided
from billing.rating.usage_check import UsageInvalid
from billing.sql import Connection
from billing.tariffs.assignment import TariffVersion
from billing.tariffs.store import TariffCache

TariffChoice = tuple[str, int | None]
"""A tariff's id and version, None for its newest one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerated:
    """What came of it. `before` None: the session had no final bill."""

    before: BillSummary | None
    after: BillSummary

    @property
    def difference(self) -> Money:
        """With tax; what the session costs more, or less if negative."""
        return self.after.total_incl if self.before is None else self.after.total_incl - self.before.total_incl

    def to_dict(self) -> dict[str, object]:
        before, after = self.before, self.after
        return {
            **after.to_dict(),
            "before_seq": None if before is None else before.seq,
            "before_tariff": None if before is None else before.tariff,
            "before_tariff_version": None if before is None else before.tariff_version,
            "before_total_incl_tax": None if before is None else before.total_incl.text,
            "before_payable": None if before is None else before.payable.text,
            "difference_incl_tax": self.difference.text,
        }


async def rerate(
    connection: Connection,
    source: SessionSource,
    session: int,
    *,
    now: datetime,
    reason: str,
    actor: str,
    choice: TariffChoice | None = None,
) -> Rerated:
    """Rate an ended session by what is known of it now, by `choice` or else by the tariff that it has.

    In the caller's transaction, who commits it or, to see what would happen, does not.

    Raises:
        NotFound: no such session, tariff or version.
        Refused: it cannot be billed: running, incomplete, held, dropped, or no tariff for it.
        AlreadyDone: nothing would change.
    """
    if not reason.strip():
        raise Refused("a session is rated anew for a reason", "say why: --reason TEXT")
    states = await store.lock_states(connection, [session])
    found = (await source.load(connection, [session], now=now)).get(session) if states else None
    if not states:
        raise NotFound(f"no session {session}", "list them with csms session list")
    if found is None:
        raise Refused(
            f"session {session} has no facts by which it could be rated anew",
            "what was billed stands (csms bill explain); readings are kept for CSMS_READING_RETENTION_MONTHS",
        )
    [state] = states
    bills = (await store.newest_bills(connection, [session]))[session]
    policies = await policy_store.current(connection)
    version = await _chosen(connection, choice, state, found)
    if choice is None:
        version = (await ceiling.billed_by(connection, [state], {session: found}, TariffCache(), policies, now))[
            session
        ]
    stayed = with_stay(found, version.idle, now)
    terms = (await terms_of(connection, {session: Priced(session=stayed, tariff=version.tariff)}))[session]
    draft = _draft(stayed, version, terms, bills, policies, now)
    before = None if bills.final is None else bills.counting
    after = draft.summary()
    if before is not None and _same(before, after) and await _same_inputs(connection, before, draft):
        raise AlreadyDone(
            f"session {session} would be billed as it is: {before.total_incl}, tariff {before.tariff} version"
            f" {before.tariff_version}",
            "nothing to do",
        )
    stored = await issue(connection, [draft], {session: stayed})
    assert stored, "nobody else bills a session whose state is locked"
    await store.insert_rerating(connection, session, draft.seq, reason=reason, actor=actor)
    await store.save_states(connection, [_settled(state, draft, version, found)])
    return Rerated(before=before, after=after)


async def _chosen(
    connection: Connection, choice: TariffChoice | None, state: RatingState, session: BillableSession
) -> TariffVersion:
    cache = TariffCache()
    wanted = choice or state.tariff
    if wanted is None:
        raise Refused(f"session {session.id} has no tariff", "choose one: --tariff ID")
    versions = (await cache.all_of(connection, [wanted[0]]))[wanted[0]]
    if not versions:
        raise NotFound(f"no tariff {wanted[0]}", "list them with csms tariff list")
    number = versions[-1].number if wanted[1] is None else wanted[1]
    version = next((each for each in versions if each.number == number), None)
    if version is None:
        raise NotFound(f"tariff {wanted[0]} has no version {number}", f"see csms tariff show {wanted[0]}")
    if version.tariff.currency != session.currency:
        raise Refused(
            f"tariff {wanted[0]} is in {version.tariff.currency}, site {session.site} in {session.currency}",
            f"choose a tariff in {session.currency}",
        )
    return version


def _draft(
    session: BillableSession,
    version: TariffVersion,
    terms: Terms | Undecided,
    bills: BillsOfSession,
    policies: Policies,
    now: datetime,
) -> DraftBill:
    _require_billable(session, now)
    if isinstance(terms, Undecided):
        raise Refused(f"session {session.id} cannot be priced: {terms.why}", f"see csms review show {session.id}")
    try:
        rating = rate(session.usage, version.tariff, policies.rating, final=True, terms=terms)
    except UsageInvalid as wrong:
        raise Refused(
            f"session {session.id} cannot be rated: {wrong.problems[0]}", f"see csms session show {session.id}"
        ) from wrong
    if rating.total_incl.decimal > policies.price_max:
        raise Refused(
            f"{rating.total_incl} is more than {policies.price_max}, the most that is believed of a session",
            "raise price_max if it is right: csms policy set review",
        )
    against = objection(rating, session.measured)
    if against is not None:
        raise Refused(
            f"session {session.id}: {against.why}", "choose a tariff with one price per kWh and none for time"
        )
    before = None if bills.final is None else bills.counting
    return DraftBill(
        session=session.id,
        seq=bills.last_seq + 1,
        kind=BillKind.FINAL if before is None else BillKind.CORRECTION,
        corrects=None if before is None else before.seq,
        as_of=session.as_of,
        rating=rating,
        inputs=BillInputs.of(session, final=True, terms=terms),
        created_at=now,
    )


def _require_billable(session: BillableSession, now: datetime) -> None:
    id_ = session.id
    if session.dropped:
        raise Refused(f"session {id_} is dropped", f"see csms session show {id_}")
    if session.holds:
        raise Refused(
            f"session {id_} is held: {', '.join(sorted(session.holds))}", f"decide on it first: csms review show {id_}"
        )
    if session.priced_from is None:
        raise Refused(f"of session {id_} token and EVSE were never both known", f"see csms session show {id_}")
    if not session.closed or session.complete_at is None or session.complete_at > now:
        raise Refused(
            f"session {id_} {'waits for facts that may be missing' if session.closed else 'is running'}",
            "wait for its final bill"
            if session.closed
            else "csms tariff recalculate changes the tariff of running sessions",
        )


def _same(before: BillSummary, after: BillSummary) -> bool:
    """Whether the two say the same, the tariff version that they name included."""
    return (before.tariff, before.tariff_version, before.policy_version, before.total_incl, before.payable) == (
        after.tariff, after.tariff_version, after.policy_version, after.total_incl, after.payable,
    )  # fmt: skip


async def _same_inputs(connection: Connection, before: BillSummary, draft: DraftBill) -> bool:
    """Whether usage and taxes are as they were. What else was used of allowances and tiers since then changed no amount."""
    inputs, _ = await store.bill_body(connection, before.session, before.seq)
    return (inputs.usage, inputs.terms.taxes) == (draft.inputs.usage, draft.inputs.terms.taxes)


def _settled(state: RatingState, draft: DraftBill, version: TariffVersion, session: BillableSession) -> RatingState:
    return replace(
        state,
        tariff=(version.tariff.id, version.number),
        resolved_at=session.priced_from,
        holds=(),
        flags=(),
        notes=tuple(note.value for note in draft.rating.notes),
        last_seq=draft.seq,
        next_at=None,
    )
