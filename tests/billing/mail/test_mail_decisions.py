"""What follows from how a try ended: a rule for each answer, and none by which a mail could go twice or be lost."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from itertools import product

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.mail.delivery import (
    ENDED,
    MAY_BECOME,
    PAUSE,
    PAUSE_MAX,
    WAITING,
    Answered,
    CutOff,
    EventKind,
    Outcome,
    State,
    Step,
    Unanswered,
    Unready,
    Unsendable,
    next_step,
    pause_before_next,
)
from billing.mail.mail_policy import DEFAULT_MAIL, MailPolicy, MailPolicyInvalid, WhenDoubtful
from billing.mail.reply import Reply, Stage, shortened
from tests.billing.mail.mail_room import PostOffice, letter
from tests.examples import tried

RESEND = MailPolicy(when_doubtful=WhenDoubtful.RESEND)
NONE = Fraction(0)
HALF = Fraction(1, 2)


def after(outcome: Outcome, *, tries: int = 1, age: timedelta = timedelta(), policy: MailPolicy = DEFAULT_MAIL) -> Step:
    return next_step(outcome, tries=tries, age=age, policy=policy, jitter=HALF)


def answered(stage: Stage, code: int, words: str = "") -> Answered:
    return Answered(stage, Reply(code, words))


@pytest.mark.parametrize("stage", [each for each in Stage if each is not Stage.DOT])
def test_a_no_for_now_is_tried_again_after_a_pause(stage: Stage) -> None:
    step = after(answered(stage, 451, "4.7.1 Greylisted, come back"))

    assert (step.state, step.event, step.code, step.status) == (State.RETRY, EventKind.DEFERRED, 451, "4.7.1")
    assert step.pause == PAUSE
    assert step.words == f"{stage}: 451 4.7.1 Greylisted, come back"
    assert not step.suppress


@pytest.mark.parametrize("stage", list(Stage))
def test_a_no_for_good_is_the_end(stage: Stage) -> None:
    step = after(answered(stage, 554, "no"))

    assert (step.state, step.event, step.code, step.pause) == (State.FAILED, EventKind.REFUSED, 554, None)


@pytest.mark.parametrize(
    ("stage", "words", "suppress"),
    [
        (Stage.RCPT, "5.1.1 User unknown", True),
        (Stage.DOT, "5.1.1 User unknown", True),
        (Stage.RCPT, "5.1.10 Null MX", True),
        (Stage.RCPT, "5.2.1 Mailbox disabled", True),
        (Stage.RCPT, "User unknown", False),
        (Stage.RCPT, "5.7.1 Relay access denied", False),
        (Stage.RCPT, "5.2.2 Mailbox full", False),
        (Stage.RCPT, "5.1.100 Something new", False),
        (Stage.RCPT, "5.1.1.1 no status", False),
        (Stage.MAIL, "5.1.1 the sender is unknown", False),
        (Stage.DOT, "5.6.0 bad content", False),
    ],
)
def test_an_address_is_suppressed_only_where_the_server_says_that_nobody_is_there(
    stage: Stage, words: str, suppress: bool
) -> None:
    assert after(answered(stage, 550, words)).suppress is suppress


def test_an_accepted_mail_is_sent() -> None:
    step = after(answered(Stage.DOT, 250, "2.0.0 Ok: queued as 4Bq2x1"))

    assert (step.state, step.event) == (State.SENT, EventKind.ACCEPTED)


def test_a_mail_without_an_answer_is_doubtful_and_is_sent_again_only_where_that_was_chosen() -> None:
    held = after(Unanswered("no answer in time"))
    again = after(Unanswered("no answer in time"), policy=RESEND)
    at_last = after(Unanswered("no answer in time"), policy=RESEND, age=RESEND.retry)

    assert (held.state, held.event, held.pause) == (State.DOUBTFUL, EventKind.UNANSWERED, None)
    assert (again.state, again.pause) == (State.RETRY, PAUSE)
    assert at_last.state is State.DOUBTFUL


@pytest.mark.parametrize("outcome", [CutOff("lost"), Unready("away"), answered(Stage.DATA, 452)])
def test_retries_end_when_their_time_is_over(outcome: Outcome) -> None:
    """Not that the next try would come too late: it would begin too late."""
    last = DEFAULT_MAIL.retry - PAUSE
    assert after(outcome, age=last).state is State.RETRY

    step = after(outcome, age=last + timedelta(seconds=1))
    assert (step.state, step.event, step.pause) == (State.FAILED, EventKind.GAVE_UP, None)


@given(tries=st.integers(1, 10_000), jitter=st.fractions(0, Fraction(999, 1000)))
@tried(200)
def test_pauses_grow_to_a_limit_and_differ_by_chance(tries: int, jitter: Fraction) -> None:
    pause = pause_before_next(tries, jitter=jitter)
    least, most = pause_before_next(tries, jitter=NONE), pause_before_next(tries, jitter=Fraction(999, 1000))

    assert PAUSE * 4 / 5 <= least <= pause <= most <= PAUSE_MAX * 6 / 5
    assert pause_before_next(tries + 1, jitter=jitter) >= pause


REPLIES = st.builds(Reply, st.integers(200, 299) | st.integers(400, 599), st.text(max_size=40))
ANSWERS = st.builds(
    lambda stage, reply: Answered(Stage.DOT if reply.is_yes else stage, reply), st.sampled_from(list(Stage)), REPLIES
)
UNSENDABLE = [EventKind.UNFIT, EventKind.SUPPRESSED, EventKind.EXPIRED]
OUTCOMES: st.SearchStrategy[Outcome] = st.one_of(
    ANSWERS,
    st.builds(CutOff, st.text(max_size=9)),
    st.builds(Unanswered, st.text(max_size=9)),
    st.builds(Unready, st.text(max_size=9)),
    st.builds(Unsendable, st.sampled_from(UNSENDABLE), st.text(max_size=9)),
)


@given(outcomes=st.lists(OUTCOMES, min_size=1, max_size=30), policy=st.sampled_from([DEFAULT_MAIL, RESEND]))
@tried(500)
def test_whatever_happens_a_mail_goes_once_and_is_never_forgotten(outcomes: list[Outcome], policy: MailPolicy) -> None:
    """Each outcome is what really happened to the try before it: the server has the mail after a yes, may have it where
    it gave no answer, and has it not otherwise."""
    state, age, has, may_have = State.QUEUED, timedelta(), 0, 0
    for tries, outcome in enumerate(outcomes, start=1):
        if state not in WAITING:
            break
        assert has == 0, "a mail that a server has accepted was tried again"
        assert may_have == 0 or policy is RESEND, "a doubtful mail was tried again, and nobody had chosen that"
        has += isinstance(outcome, Answered) and outcome.reply.is_yes
        may_have += isinstance(outcome, Unanswered)
        step = next_step(outcome, tries=tries, age=age, policy=policy, jitter=HALF)
        assert step.state in MAY_BECOME[State.SENDING] | MAY_BECOME[state] | {state}
        assert (step.pause is not None) is (step.state is State.RETRY)
        age += step.pause or timedelta()
        state = step.state

    assert (state is State.SENT) is (has == 1)
    assert may_have == 0 or state in {State.DOUBTFUL, State.SENT, State.RETRY, State.FAILED}
    assert state is not State.QUEUED
    assert age <= policy.retry


async def test_the_database_lets_a_delivery_become_what_the_rules_say_and_nothing_else(office: PostOffice) -> None:
    await office.queue(letter("invoice 1"))
    refused = set()
    for before, after_ in product(State, State):
        async with office.pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                for each in _way_to(before):
                    await _become(connection, each)
                await _become(connection, after_)
            except asyncpg.CheckViolationError:
                refused.add((before, after_))
            finally:
                await transaction.rollback()

    assert refused == {(a, b) for a, b in product(State, State) if a is not b and b not in MAY_BECOME[a]}


def _way_to(state: State) -> list[State]:
    """From queued, in as few steps as there are."""
    ways: dict[State, list[State]] = {State.QUEUED: []}
    todo = [State.QUEUED]
    for at in todo:
        for following in sorted(MAY_BECOME[at] - ways.keys()):
            ways[following] = [*ways[at], following]
            todo.append(following)
    return ways[state]


async def _become(connection: asyncpg.Connection, state: State) -> None:
    await connection.execute(
        "UPDATE mail_delivery SET state = $1, next_at = CASE WHEN $2 THEN now() END,"
        " ended_at = CASE WHEN $3 THEN now() END, claim = gen_random_uuid()",
        state.value,
        state in {*WAITING, State.SENDING},
        state in ENDED,
    )


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"when_doubtful": "guess"}, "when_doubtful"),
        ({"retry_hours": 0}, "retry_hours"),
        ({"retry_hours": 721}, "retry_hours"),
        ({"retention_days": "soon"}, "retention_days"),
        ({"retention_days": 10_000}, "retention_days"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_policy_that_is_none_is_refused_with_what_is_wrong(body: dict[str, object], word: str) -> None:
    with pytest.raises(MailPolicyInvalid, match=word):
        MailPolicy.from_dict({**DEFAULT_MAIL.to_dict(), **body})

    assert MailPolicy.from_dict(RESEND.to_dict()) == RESEND


def test_the_words_of_servers_are_kept_in_short_and_as_a_database_may_have_them() -> None:
    assert shortened("one\r\n\x00two \ud800\n") == "one two ?"
    assert len(shortened("x" * 5000)) == 1000
