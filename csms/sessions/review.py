"""The review gate: what holds a session back from money, and what is only worth a note. Pure; knows no bill.

Every rule is a small function of the session, its case, the policy and the time; the table `RULES` names them all.
Rules that can be judged before the end are judged while the session runs (RULES.md 16).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from csms.evidence.judgement import RULES as EVIDENCE_RULES
from csms.protocol.vocabulary import TokenStatus
from csms.sessions.facts import Surroundings
from csms.sessions.metering import Metering
from csms.sessions.policy import ReviewPolicy
from csms.sessions.power import PowerLimit
from csms.sessions.samples import usable
from csms.sessions.session import Action, Finding, Session
from csms.sessions.spans import seconds_between, span

HOLDS = {
    "clock_uncertain": "The charge point's clock contradicts itself, and the price depends on the time of day.",
    "currency_mismatch": "The tariff that applies is in another currency than the site.",
    "energy_over_limit": "More energy than any session can take.",
    "energy_over_power": "More energy than the charge point's power allows in that time.",
    "evidence_gap": "Under measuring law: records of the meter are missing between its signed begin and end.",
    "evidence_invalid": "Under measuring law: a signed value is not the meter's, cannot be read or contradicts another.",
    "evidence_missing": "Under measuring law: there is no signed begin, or no signed end.",
    "evidence_no_key": "Under measuring law: no public key is registered for the meter that signed.",
    "evidence_price_cut": "Under measuring law: the price per kWh changes where the meter signed no reading.",
    "evidence_time": "Under measuring law: time costs something, and the meter is not one for time.",
    "late": "The facts arrived so long after the end that partners and drivers no longer accept the bill.",
    "malformed": "A message of the transaction did not fit its schema; what could be read stands here.",
    "no_start": "The start never arrived: where the session began is unknown.",
    "no_stop": "The stop never arrived: the session was ended at its last reading.",
    "no_tariff": "No tariff was valid when the session began; it is released when one that was appears.",
    "not_ratable": "What is known of it cannot be priced: its periods contradict each other.",
    "overlap": "The next session on the same EVSE began before this one ended.",
    "price_outlier": "The price is higher than a session's can plausibly be.",
    "quarantined": "A frame of the transaction could not be read.",
    "rating_failed": "Rating it failed; the server's log says why.",
    "reading_conflict": "One instant has two different registers.",
    "register_backwards": "The register ran back.",
    "register_jump": "Between two readings the register rose faster than the power allows.",
    "register_missing": "Fewer than two registers are known: the energy is not.",
    "start_ambiguous": "It may be a repeat of an older start or another driver's.",
    "stop_before_start_register": "The register is below the one of the start.",
    "stop_conflict": "Two stops say different times or registers.",
    "tax_undecided": "No tax rule decides for a part of the bill, or two do; it is released when one does.",
    "time_invalid": "A time cannot be true: before 2015, in the future, or an end before its start.",
    "token_unknown": "Energy flowed for a token that is missing, unknown, blocked or expired.",
    "too_long": "It takes longer than a session plausibly does.",
    "unpriced": "It is complete, and token and EVSE were never both known: nobody is there to pay.",
    "unit_suspect": "Energy and power do not fit: one of them is probably in another unit.",
    "value_invalid": "A register is no number, or beyond any meter.",
    "zero_baseline_jump": "The start register was zero although the meter was not.",
}
"""Holds and what they mean, as `review show` prints it."""

FLAGS = {
    "clock_offset": "The charge point's clock is off.",
    "evidence_differs": "The signed energy, which is billed, is not that of the registers in the messages.",
    "late": "The facts arrived long after the end.",
    "late_fact": "A fact arrived after the final bill, which stands.",
    "limit_not_obeyed": "At its cost limit the charge point refused to stop it, gave no answer, or went on.",
    "no_begin_reading": "No reading was declared as the begin; the first one counts.",
    "no_end_reading": "No reading was declared as the end; the last one counts.",
    "phases_only": "Registers came per phase, without a total.",
    "power_unknown": "More power than an AC charge point has, and nobody told its power (`cp set --max-kw`).",
    "readings_below_start": "Readings are below the start register: perhaps counted per session.",
    "readings_outside": "Readings lie before the start or after the end; they are kept as evidence.",
    "register_dropout": "The register fell for a while and recovered.",
    "register_gap": "The start register is not the previous session's last one.",
    "reservation_unused": "There was no transaction: a reservation ran out, and its tariff has a price for that.",
    "sequence_gap": "Events before the end are missing.",
    "sequence_unusable": "The numbers of the events tell nothing about completeness.",
    "start_conflict": "Two starts of this session differ; the first received counts.",
    "stop_conflict": "A second stop differs from the first, which counts.",
    "stop_paired": "The stop named another transaction; this was the only open session that it fits.",
    "transaction_id_reused": "The charge point has used this transaction id before.",
    "zero_energy": "Less energy than is worth a bill: waived.",
}
"""Flags and what they mean; they never keep a session from being billed."""


BY_LAW = frozenset(EVIDENCE_RULES)
"""Holds that no release covers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What the rules look at beside the session; the instants are our clock's."""

    around: Surroundings
    metering: Metering
    limit: PowerLimit
    start_received_at: datetime
    last_received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What a person let pass: names of holds, with what the rules had found then (rule, evidence).

    `was_closed`: the end of the session was known, so that the whole of it was looked at.
    """

    holds: frozenset[str]
    evidence: frozenset[tuple[str, str]]
    was_closed: bool

    def covers(self, finding: Finding) -> bool:
        """A release of a running session covers what was seen, not what comes after under the same name.

        Nobody can release what the law of measuring holds: kWh that no signed values prove are not sold (RULES.md 23).
        """
        if finding.rule in BY_LAW:
            return False
        seen = self.was_closed or (finding.rule, finding.evidence) in self.evidence
        return finding.rule in self.holds and seen


def still_held(session: Session, releases: Sequence[Release]) -> frozenset[str]:
    """The holds of a session that no release covers."""
    return frozenset(
        finding.rule
        for finding in session.findings
        if finding.action is Action.HOLD and not any(release.covers(finding) for release in releases)
    )


Rule = Callable[[Session, Case, ReviewPolicy, datetime], Finding | None]


def judge(session: Session, case: Case, policy: ReviewPolicy, *, now: datetime) -> list[Finding]:
    """All that the rules find, plus what was seen at arrival; a name that nobody knows holds."""
    found = [finding for rule in RULES if (finding := rule(session, case, policy, now)) is not None]
    for name in sorted(case.around.held_by_ingest):
        action = Action.FLAG if name in FLAGS and name not in HOLDS else Action.HOLD
        found.append(Finding(rule=name, action=action, evidence="seen when the message arrived"))
    return found


def _hold(rule: str, evidence: str) -> Finding:
    return Finding(rule=rule, action=Action.HOLD, evidence=evidence)


def _flag(rule: str, evidence: str) -> Finding:
    return Finding(rule=rule, action=Action.FLAG, evidence=evidence)


# --- energy ----------------------------------------------------------------------------------------------------------


def stop_before_start_register(_session: Session, case: Case, policy: ReviewPolicy, _now: datetime) -> Finding | None:
    declared = case.metering.declared_wh
    if declared is None or declared >= -policy.clamp_wh:
        return None
    evidence = f"{declared} Wh from begin to end; {-policy.clamp_wh} to 0 Wh count as standing still"
    return _hold("stop_before_start_register", evidence)


def _metered_seconds(session: Session, case: Case) -> Decimal:
    """From the start to the end, or to the newest plausible register while it runs."""
    begin, end = session.started_at, session.ended_at
    if end is None and case.metering.end is not None:
        end = case.metering.end.at
    return Decimal(0) if begin is None or end is None else seconds_between(begin, end)


def energy_over_power(session: Session, case: Case, _policy: ReviewPolicy, _now: datetime) -> Finding | None:
    seconds = _metered_seconds(session, case)
    possible = case.limit.energy_wh(seconds)
    if session.energy_wh <= possible:
        return None
    evidence = f"{session.energy_wh} Wh in {seconds} s; {case.limit.words} allow {possible} Wh"
    return _hold("energy_over_power", evidence)


def power_unknown(session: Session, case: Case, _policy: ReviewPolicy, _now: datetime) -> Finding | None:
    seconds = _metered_seconds(session, case)
    assumed = case.limit.assumed_energy_wh(seconds)
    if assumed is None or session.energy_wh <= assumed:
        return None
    evidence = f"{session.energy_wh} Wh in {seconds} s; assumed power allows {assumed} Wh, judged by {case.limit.words}"
    return _flag("power_unknown", evidence)


def energy_over_limit(session: Session, _case: Case, policy: ReviewPolicy, _now: datetime) -> Finding | None:
    if session.energy_wh <= policy.energy_wh_max:
        return None
    return _hold("energy_over_limit", f"{session.energy_wh} Wh; at most {policy.energy_wh_max} Wh are believed")


def zero_energy(session: Session, _case: Case, policy: ReviewPolicy, _now: datetime) -> Finding | None:
    if not session.closed or session.energy_wh >= policy.energy_wh_min:
        return None
    return _flag("zero_energy", f"waived: {session.energy_wh} Wh, less than {policy.energy_wh_min} Wh")


def register_gap(session: Session, case: Case, policy: ReviewPolicy, _now: datetime) -> Finding | None:
    previous = case.around.previous
    before = None if previous is None else usable(previous.register_end_wh)
    if previous is None or before is None or session.begin_wh is None:
        return None
    if abs(session.begin_wh - before) <= policy.register_gap_wh:
        return None
    evidence = f"begins at {session.begin_wh} Wh, session {previous.id} ended at {before} Wh"
    return _flag("register_gap", evidence)


def unit_suspect(session: Session, case: Case, policy: ReviewPolicy, _now: datetime) -> Finding | None:
    """Energy compared with measured power, in both directions with much room: units differ by a thousand."""
    powers = [(point.at, point.power_w) for point in session.powers if point.power_w is not None]
    positive = [power for _, power in powers if power > 0]
    begin, end = case.metering.begin, case.metering.end
    if len(positive) < 2 or begin is None or end is None:  # noqa: PLR2004 - one sample may be any moment's
        return None
    expected = _expected_wh(powers, begin.at, end.at)
    mean = sum(positive, Decimal(0)) / len(positive) * seconds_between(begin.at, end.at) / 3600
    energy = session.energy_wh
    too_little = expected >= policy.unit_energy_wh_min and energy < expected * policy.unit_ratio_min
    too_much = energy >= policy.unit_energy_wh_min and energy > mean * policy.unit_ratio_max
    if not too_little and not too_much:
        return None
    shown = (expected if too_little else mean).quantize(Decimal("0.001"))
    return _hold("unit_suspect", f"{energy} Wh by the register, {shown} Wh by the measured power")


def _expected_wh(powers: list[tuple[datetime, Decimal]], begin: datetime, end: datetime) -> Decimal:
    """Energy by power samples within begin and end: the mean of neighbours between them, nothing outside."""
    total = Decimal(0)
    for (at, power), (later, next_power) in pairwise(powers):
        total += (power + next_power) / 2 * seconds_between(max(at, begin), min(later, end))
    return total / 3600


# --- time ------------------------------------------------------------------------------------------------------------


def time_invalid(session: Session, case: Case, policy: ReviewPolicy, _now: datetime) -> Finding | None:
    """Charge points whose clock was never set write 1970; some are years ahead of the time at which we hear them."""
    started_at, ended_at = session.started_at, session.ended_at
    end_received_at = session.end_received_at or case.last_received_at
    for word, at, received_at in (("start", started_at, case.start_received_at), ("end", ended_at, end_received_at)):
        if at is None:
            continue
        if at.year < policy.year_min:
            return _hold("time_invalid", f"the {word}, {at.isoformat()}, is before {policy.year_min}")
        if at - received_at > span(policy.future_s_max):
            return _hold(
                "time_invalid", f"the {word}, {at.isoformat()}, is after its arrival, {received_at.isoformat()}"
            )
    if started_at is not None and ended_at is not None and ended_at < started_at:
        return _hold("time_invalid", f"the end, {ended_at.isoformat()}, is before the start, {started_at.isoformat()}")
    return None


def clock_offset(_session: Session, case: Case, policy: ReviewPolicy, _now: datetime) -> Finding | None:
    offset = case.around.clock_offset_s
    if offset is None or (offset.is_finite() and abs(offset) <= policy.clock_offset_s_max):
        return None
    return _flag("clock_offset", f"the clock is {offset} s off; up to {policy.clock_offset_s_max} s pass")


def longest_s(current: str, policy: ReviewPolicy) -> Decimal:
    """How long a session may take on this current."""
    return policy.duration_s_max_dc if current.upper() == "DC" else policy.duration_s_max_ac


def too_long(session: Session, case: Case, policy: ReviewPolicy, now: datetime) -> Finding | None:
    if session.started_at is None:
        return None
    longest = longest_s(case.around.current, policy)
    seconds = seconds_between(session.started_at, session.ended_at or now)
    if seconds <= longest:
        return None
    # While it runs, the evidence must not change with every look at it: a release covers what was seen.
    words = f"{seconds} s" if session.closed else "still running"
    return _hold("too_long", f"{words}; a session on {case.around.current} takes at most {longest} s")


def late(session: Session, _case: Case, policy: ReviewPolicy, _now: datetime) -> Finding | None:
    if session.ended_at is None or session.end_received_at is None:
        return None
    age = session.end_received_at - session.ended_at
    if age <= timedelta(days=policy.late_days_flag):
        return None
    evidence = f"the stop of {session.ended_at.isoformat()} arrived at {session.end_received_at.isoformat()}"
    return (_hold if age > timedelta(days=policy.late_days_hold) else _flag)("late", evidence)


def overlap(session: Session, case: Case, _policy: ReviewPolicy, _now: datetime) -> Finding | None:
    following = case.around.following
    if following is None or following.started_at is None or session.ended_at is None:
        return None
    if session.ended_at <= following.started_at:
        return None
    began = following.started_at.isoformat()
    return _hold("overlap", f"ended {session.ended_at.isoformat()}, session {following.id} began {began}")


# --- who, and whether the messages could be read ----------------------------------------------------------------------


def token_unknown(session: Session, case: Case, policy: ReviewPolicy, _now: datetime) -> Finding | None:
    """While it runs, a bad token holds at once; after the end only if anything was taken (RULES.md 13)."""
    if session.token is None:
        if session.energy_wh < policy.energy_wh_min:
            return None
        return _hold("token_unknown", f"{session.energy_wh} Wh and no token")
    status = case.around.token_status
    if status in {TokenStatus.ACCEPTED, TokenStatus.CONCURRENT}:
        return None
    if session.closed and session.energy_wh == 0:
        return None
    word = "unknown" if status is None else status.value
    return _hold("token_unknown", f"token {session.token} was {word} at the start")


RULES: tuple[Rule, ...] = (
    stop_before_start_register,
    energy_over_power,
    power_unknown,
    energy_over_limit,
    zero_energy,
    register_gap,
    unit_suspect,
    time_invalid,
    clock_offset,
    too_long,
    late,
    overlap,
    token_unknown,
)
