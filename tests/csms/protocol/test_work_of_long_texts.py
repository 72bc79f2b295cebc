"""What a charge point may send takes time in proportion to its length, whatever it is made of."""

from __future__ import annotations

import inspect
import pkgutil
import re
import subprocess
import sys
from importlib import import_module

import pytest

from csms.protocol import salvage
from csms.protocol.redaction import FRAME_LENGTH_MAX, REDACTED, bounded, evidence, redacted, without_secrets
from csms.protocol.translator import TRANSACTION_ACTIONS

PACKAGES = ("csms.protocol", "csms.gateway", "csms.sessions", "csms.security", "csms.quirks", "csms.charge_points")
DEADLINE_S = 100
"""For all texts of one function, which take a few seconds; quadratic work on a single one takes minutes."""
MEBIBYTE = 1024 * 1024
TEXTS = """
def filled(head, part, tail=""):
    return head + part * ((N - len(head) - len(tail)) // len(part)) + tail
TEXTS = [filled(head, part, tail)
    for part in (" ", '"', "{", "[", "://", ":\\\\/\\\\/", "\\\\", "1", "a", "/", "?", "@", "\\\\u0041", ".", "-", "E0", "\\n", '\\\\"',
                 '"key":', '"location":', '{"a":1},', "://a?", "2026-01-01T00:00:00.", "pass", "files/")
    for head, tail in (("", ""), ("://", "!"))]
TEXTS += [filled('[2,"1","Heartbeat",{"location":', " ", '1,"x":"://"}]'),
          filled('[2,"1","Heartbeat",{"location" ', " ", '1,"x":"://"}]'),
          filled('[2,"1","Heartbeat",{"location":[', " ", '1,"x":"://"}]'),
          filled('"2026-01-01', " ", "x"), filled("[2", " ", "x"), filled('[2,"1"', " ", "x"), filled("wss:", "/", "\\n")]
"""
USES = {
    "redacted": "from csms.protocol.redaction import redacted as use",
    "customers": "from csms.protocol.redaction import without_customer_information as use",
    "credentials": "from csms.protocol.redaction import without_credentials as use",
    "evidence": "from csms.protocol.redaction import evidence as use",
    "salvage": "from csms.protocol.salvage import salvage as use",
    "mend": "from csms.protocol.salvage import mend as use",
    "proof": "from csms.quirks.log import proof_of as use",
    "parse": "from csms.protocol.frames import parse as use",
    "time": "from csms.protocol.times import parse_time\ndef use(text): parse_time(text, set())",
    "number": "from csms.protocol.repair import parse_decimal\ndef use(text): parse_decimal(text, set())",
}


def handle_all(use: str, length: int = MEBIBYTE) -> None:
    """In a process of its own, as a regular expression that never ends cannot be interrupted."""
    script = f"N = {length}\n{TEXTS}\n{use}\nfor text in TEXTS:\n    print(repr(text[:40]), flush=True)\n    use(text)\nprint('done')"
    try:
        done = subprocess.run(  # noqa: S603 - our own script
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=DEADLINE_S, check=False
        )
    except subprocess.TimeoutExpired as expired:
        pytest.fail(f"no end with {(expired.stdout or b'').decode().splitlines()[-1]}")
    assert done.stdout.endswith("done\n"), done.stderr


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_no_text_of_one_mebibyte_holds_up_the_others(use: str) -> None:
    handle_all(use)


def patterns() -> list[tuple[str, str, str]]:
    """Module, name and method of each use of a regular expression of text in what reads charge points."""
    found = set()
    for package in PACKAGES:
        for each in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
            module = import_module(each.name)
            for name, value in vars(module).items():
                if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
                    uses = re.findall(rf"\b{name}\.(\w+)\(", inspect.getsource(module))
                    found |= {(each.name, name, method) for method in uses}
    return sorted(found)


def test_no_regular_expression_backtracks_over_a_long_text() -> None:
    found = patterns()
    assert ("csms.protocol.redaction", "_LOCATION", "sub") in found
    imports = "\n".join(f"import {module}" for module, *_ in found)
    calls = "\n".join(
        f"    {module}.{name}.{method}({'lambda match: str(), ' if method.startswith('sub') else ''}text)"
        if method != "finditer"
        else f"    sum(1 for _ in {module}.{name}.finditer(text))"
        for module, name, method in found
    )
    handle_all(f"{imports}\ndef use(text):\n{calls}", MEBIBYTE // 4)


def test_a_long_frame_keeps_its_head_and_length_only() -> None:
    frame = f'[2,"id-1","NotifyReport",{{"note":"{"n" * FRAME_LENGTH_MAX}","key":"x"}}]'

    assert bounded(frame) == redacted(frame) == f'[2,"id-1","NotifyReport",... ({len(frame)} characters)'


@pytest.mark.parametrize("action", sorted(TRANSACTION_ACTIONS))
def test_evidence_of_a_long_transaction_message_keeps_its_beginning_unless_a_secret_may_be_in_it(action: str) -> None:
    frame = f'[2,"id-1","{action}",{{"meterStop":4711,"note":"{"n" * 1_000_000}'

    kept = evidence(frame)

    assert '"meterStop":4711' in kept
    assert len(kept) <= FRAME_LENGTH_MAX
    for torn in (f'{frame}","password":"x"', frame.replace("note", "password")):
        assert evidence(torn) == f'[2,"id-1","{action}",... ({len(torn)} characters)'


def test_a_broken_text_is_looked_at_up_to_its_limit() -> None:
    text = f'[2,"1","StopTransaction",{{"meterStop":4711,,"note":"{"n" * salvage.TEXT_LENGTH_MAX}","after":1}}]'

    assert salvage.salvage(text) == {"meterStop": 4711}
    assert salvage.mend(text) is None
    assert salvage.mend(text.replace("n" * 1000, "")) is not None


def test_a_description_is_cut_before_it_is_searched_and_an_address_is_not_torn() -> None:
    torn = without_secrets(f"no such file https://user:{'p' * 1_000_000}@example")

    assert torn == f"no such file https://{REDACTED}"
    assert len(without_secrets("a " * 1_000_000)) <= 300
