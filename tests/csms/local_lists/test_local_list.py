"""Whatever a charge point holds: once it has taken the messages, it holds what it should."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.local_lists.local_list import (
    FRAME_BYTES,
    VERSION_MAX,
    Entries,
    Held,
    Limits,
    applied,
    changes,
    difference,
    entries_from_json,
    entries_to_json,
    fingerprint,
    limits_of,
    reconciled,
    updates,
    wanted,
)
from csms.protocol.blocks.local_lists import ListEntry, SendLocalList
from csms.protocol.translator import translator
from csms.protocol.v16.local_lists import list_entry
from csms.protocol.vocabulary import Protocol, TokenStatus, TokenVerdict
from csms.tokens.token import Token

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
VERDICTS = st.builds(
    TokenVerdict,
    status=st.sampled_from([TokenStatus.ACCEPTED, TokenStatus.BLOCKED, TokenStatus.EXPIRED]),
    group=st.none() | st.sampled_from(["FLEET-7", "FLEET-8"]),
    expires_at=st.none() | st.sampled_from([NOW + timedelta(days=1), NOW + timedelta(days=2)]),
)
LISTS = st.dictionaries(st.integers(1, 30).map(lambda n: f"CARD-{n:04}"), VERDICTS, max_size=25)
LIMITS = st.builds(Limits, items_max=st.integers(1, 12), bytes_max=st.none() | st.integers(1, 1500))
VERSIONS = st.integers(0, 50) | st.integers(VERSION_MAX - 12, VERSION_MAX)
HELD = st.builds(Held, version=VERSIONS, entries=st.none() | LISTS)


def size(entry: ListEntry) -> int:
    return len(orjson.dumps(list_entry(entry))) + 1


def on_the_way(held: Entries, messages: tuple[SendLocalList, ...]) -> list[Entries]:
    """The list after each message, the one before them first."""
    return list(itertools.accumulate(messages, applied, initial=held))


@given(HELD, LISTS, LIMITS, st.booleans(), LISTS)
def test_the_messages_make_of_any_list_the_wanted_one(
    held: Held, want: Entries, limits: Limits, full: bool, unknown: Entries
) -> None:
    messages = updates(held, want, limits=limits, size=size, full=full)
    before = unknown if held.entries is None else held.entries

    assert on_the_way(before, messages)[-1] == want


@given(LISTS, LISTS, st.lists(st.integers(0, 60), max_size=8))
def test_differences_lead_to_the_wanted_list_in_any_split(held: Entries, want: Entries, cuts: list[int]) -> None:
    entries = changes(held, want)
    edges = [0, *sorted(min(cut, len(entries)) for cut in cuts), len(entries)]
    messages = tuple(SendLocalList(version=1, entries=entries[a:b]) for a, b in itertools.pairwise(edges))

    assert on_the_way(held, messages)[-1] == want


@given(LISTS, LISTS, st.integers(1, 12))
def test_no_list_on_the_way_is_longer_than_the_longer_of_both(held: Entries, want: Entries, items_max: int) -> None:
    messages = updates(Held(version=3, entries=held), want, limits=Limits(items_max=items_max), size=size)

    assert max(map(len, on_the_way(held, messages))) <= max(len(held), len(want))


@given(HELD, LISTS, LIMITS, st.booleans())
def test_every_message_has_a_newer_version_and_only_the_first_is_full(
    held: Held, want: Entries, limits: Limits, full: bool
) -> None:
    messages = updates(held, want, limits=limits, size=size, full=full)

    assert all(later.version > earlier.version for earlier, later in itertools.pairwise(messages))
    assert all(1 <= each.version <= VERSION_MAX for each in messages)
    assert not any(each.full for each in messages[1:])
    if messages and not messages[0].full:
        assert messages[0].version > held.version


@given(HELD, LISTS, LIMITS, st.sampled_from(Protocol))
def test_every_message_can_be_sent_and_keeps_to_the_limits(
    held: Held, want: Entries, limits: Limits, protocol: Protocol
) -> None:
    messages = updates(held, want, limits=limits, size=size)

    for each in messages:
        assert translator(protocol).command(each) is not None
        assert len(each.entries) <= limits.items_max
        if limits.bytes_max is not None and len(each.entries) > 1:
            assert FRAME_BYTES + sum(map(size, each.entries)) <= limits.bytes_max


@given(LISTS, LIMITS)
def test_a_charge_point_that_is_up_to_date_is_sent_nothing(want: Entries, limits: Limits) -> None:
    assert updates(Held(version=5, entries=want), want, limits=limits, size=size) == ()


@given(LISTS, LISTS)
def test_only_what_differs_is_sent_where_that_is_shorter(held: Entries, want: Entries) -> None:
    messages = updates(Held(version=5, entries=held), want, limits=Limits(), size=size)
    told = sum(len(each.entries) for each in messages)

    counts = difference(held, want)
    assert told == min(counts.added + counts.changed + counts.removed, len(want))


@given(LISTS, LISTS)
def test_lists_have_the_same_fingerprint_exactly_where_they_are_the_same(one: Entries, other: Entries) -> None:
    assert (fingerprint(one) == fingerprint(other)) == (one == other)
    assert fingerprint(dict(reversed(list(one.items())))) == fingerprint(one)
    assert entries_from_json(orjson.loads(orjson.dumps(entries_to_json(one)))) == one


LIST = {"CARD-0001": TokenVerdict(status=TokenStatus.ACCEPTED)}


@pytest.mark.parametrize(
    ("believed", "reported", "held"),
    [
        (Held(version=7, entries=LIST), 7, Held(version=7, entries=LIST)),
        (Held(version=7, entries=LIST), 0, Held(version=7, entries={})),  # it was reset
        (Held(version=7, entries=LIST), 6, Held(version=7)),
        (Held(version=7, entries=LIST), 9, Held(version=9)),  # another central system was at it
        (Held(version=7), 7, Held(version=7)),  # an answer was lost
        (Held(version=7, entries=LIST), None, Held(version=7)),
        (Held(), 0, Held(entries={})),
        (Held(), 4, Held(version=4)),
        (Held(), -3, Held()),
    ],
)
def test_what_it_holds_is_what_it_was_sent_only_where_it_says_so(believed: Held, reported: int, held: Held) -> None:
    assert reconciled(believed, reported=reported) == held


def token(uid: str, *, kind: str = "issued", day: int = 1, expires_at: datetime | None = None) -> Token:
    return Token(uid=uid, kind=kind, at=NOW - timedelta(days=30 - day), group="FLEET-7", expires_at=expires_at)


TOKENS = [
    token("OLD", day=1),
    token("NEW", day=5),
    token("LOST", kind="blocked", day=9),
    token("OVER", day=9, expires_at=NOW),
    token("SOON", day=2, expires_at=NOW + timedelta(seconds=1)),
    token("BACK", kind="unblocked", day=3),
    token("LONGER-THAN-A-CARD-OF-16", day=8),
]


def test_the_list_says_of_every_token_whether_it_may_charge() -> None:
    entries = wanted(TOKENS, at=NOW, protocol=Protocol.V201, entries_max=None).entries

    assert {uid: str(said.status) for uid, said in entries.items()} == {
        "BACK": "Accepted",
        "LONGER-THAN-A-CARD-OF-16": "Accepted",
        "LOST": "Blocked",
        "NEW": "Accepted",
        "OLD": "Accepted",
        "OVER": "Expired",
        "SOON": "Accepted",
    }
    assert entries["SOON"].expires_at == NOW + timedelta(seconds=1)
    assert {said.group for said in entries.values()} == {"FLEET-7"}


@pytest.mark.parametrize(
    ("room", "listed"),
    [
        (None, {"OLD", "NEW", "SOON", "BACK", "LOST", "OVER"}),
        (6, {"OLD", "NEW", "SOON", "BACK", "LOST", "OVER"}),
        (5, {"OLD", "NEW", "SOON", "BACK", "LOST"}),
        (4, {"OLD", "NEW", "SOON", "BACK"}),
        (2, {"NEW", "BACK"}),
    ],
)
def test_where_not_all_fit_those_that_may_charge_and_the_newest_go_first(room: int | None, listed: set[str]) -> None:
    found = wanted(TOKENS, at=NOW, protocol=Protocol.V16, entries_max=room)

    assert (set(found.entries), found.left_out) == (listed, 6 - len(listed))


@pytest.mark.parametrize(
    ("protocol", "settings", "limits"),
    [
        (Protocol.V16, {}, Limits()),
        (
            Protocol.V16,
            {"LocalAuthListMaxLength": "500", "SendLocalListMaxLength": "20", "LocalAuthListEnabled": "true"},
            Limits(entries_max=500, items_max=20),
        ),
        (Protocol.V16, {"sendlocallistmaxlength": " 20 "}, Limits(items_max=20)),
        (Protocol.V16, {"SendLocalListMaxLength": "0", "LocalAuthListMaxLength": "many"}, Limits()),
        (Protocol.V16, {"SupportedFeatureProfiles": "Core,RemoteTrigger"}, Limits(is_offered=False)),
        (Protocol.V16, {"SupportedFeatureProfiles": "Core, LocalAuthListManagement"}, Limits()),
        (Protocol.V16, {"LocalAuthListEnabled": "False"}, Limits(is_enabled=False)),
        (
            Protocol.V201,
            {"LocalAuthListCtrlr.ItemsPerMessage": "30", "LocalAuthListCtrlr.BytesPerMessage": "2048"},
            Limits(items_max=30, bytes_max=2048),
        ),
        (Protocol.V201, {"LocalAuthListCtrlr.Available": "false"}, Limits(is_offered=False)),
        (Protocol.V201, {"LocalAuthListCtrlr.Enabled": None}, Limits()),
    ],
)
def test_the_limits_are_those_that_the_charge_point_names(
    protocol: Protocol, settings: dict[str, str | None], limits: Limits
) -> None:
    assert limits_of(protocol, settings) == limits
