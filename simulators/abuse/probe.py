"""Runs the abuse cases against a central system on this machine while a canary on a second socket keeps asking."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from simulators import schemas
from simulators.abuse.cases import Case, call, cases
from simulators.abuse.expectation import Outcome, judge_text
from simulators.abuse.raw_socket import Closed, Handshake, RawSocket, Text, basic, frame, path_of
from simulators.abuse.wire_cases import Knock, knocks, wire_cases
from simulators.charge_point.link import only_loopback

UPGRADED = 101
REOPEN_TRIES = 20
REOPEN_PAUSE_S = 0.25
FRAMES_PER_CASE_MAX = 1000


class ProbeError(Exception):
    """The probe itself cannot work: credentials or address are wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A case that went wrong, and how."""

    case: str
    why: str


@dataclass(slots=True, kw_only=True)
class AbuseReport:
    """``must_failed``: nobody may do this. ``should_failed``: OCPP or our rules want it otherwise."""

    protocol: str
    cases: int = 0
    must_failed: list[Finding] = field(default_factory=list)
    should_failed: list[Finding] = field(default_factory=list)
    canary_bad: list[str] = field(default_factory=list)
    canary_ms: list[float] = field(default_factory=list)
    reopened: int = 0

    @property
    def ok(self) -> bool:
        """Nothing went wrong."""
        return not self.must_failed and not self.should_failed and not self.canary_bad

    def canary_p99_ms(self) -> float | None:
        """How slow the honest neighbour's answers got."""
        if not self.canary_ms:
            return None
        ordered = sorted(self.canary_ms)
        return ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]


async def run_abuse(
    url: str,
    protocol: str,
    attacker: tuple[str, str],
    canary: tuple[str, str],
    *,
    answer_timeout_s: float = 5.0,
    canary_every_s: float = 0.1,
    selected: Callable[[str], bool] | None = None,
    on_case: Callable[[int, int], None] | None = None,
) -> AbuseReport:
    """Send every hostile input as ``attacker`` (identity, password) and judge what comes back.

    ``url`` is without the identity. ``selected`` picks cases by name. ``on_case(done, total)`` is called as it goes.
    """
    parts = urlsplit(only_loopback(url))
    probe = Probe(parts.hostname or "127.0.0.1", parts.port or 80, parts.path, protocol, attacker, answer_timeout_s)
    every: list[Case | Knock] = [*cases(protocol), *wire_cases()]
    every += knocks(probe.host_header, parts.path, protocol, attacker, canary[0])
    chosen = [case for case in every if selected is None or selected(case.name)]
    report = probe.report
    watch = asyncio.create_task(_canary(probe, canary, canary_every_s))
    try:
        for done, case in enumerate(chosen, start=1):
            await (probe.knock(case) if isinstance(case, Knock) else probe.try_case(case))
            report.cases += 1
            if on_case is not None:
                on_case(done, len(chosen))
    finally:
        watch.cancel()
        await asyncio.wait({watch})
        await probe.close()
    if not watch.cancelled() and (failure := watch.exception()) is not None:
        raise failure
    return report


async def _canary(probe: Probe, credentials: tuple[str, str], every_s: float) -> None:
    """An honest charge point that wants an answer to its Heartbeat all the while."""
    socket = await probe.open(credentials)
    try:
        for number in itertools.count():
            why = await _heartbeat(probe, socket, f"canary-{number}")
            if why is not None:
                probe.report.canary_bad.append(f"heartbeat {number}: {why}")
                await socket.close()
                socket = await probe.open(credentials)
            await asyncio.sleep(every_s)
    finally:
        await socket.close()


async def _heartbeat(probe: Probe, socket: RawSocket, name: str) -> str | None:
    """One Heartbeat of the canary; what was wrong with its answer, if anything."""
    asked = time.perf_counter()
    await socket.send(frame(call("Heartbeat", {}, name).encode()), probe.timeout_s)
    for _ in range(FRAMES_PER_CASE_MAX):
        heard = await socket.next(probe.timeout_s)
        if not isinstance(heard, Text):
            return str(heard or "no answer")
        if await probe.answered_server_call(socket, heard.text):
            continue
        if judge_text(heard.text) == Outcome(kind="result", message_id=name):
            probe.report.canary_ms.append((time.perf_counter() - asked) * 1000)
            return None
        return heard.text[:200]
    return "too many other frames"


class Probe:
    """The attacker's socket, reopened whenever a case has cost it."""

    def __init__(
        self, host: str, port: int, base: str, protocol: str, attacker: tuple[str, str], timeout_s: float
    ) -> None:
        self.report = AbuseReport(protocol=protocol)
        self.timeout_s = timeout_s
        self._host, self._port, self._base = host, port, base
        self._protocol, self._attacker = protocol, attacker
        self._socket: RawSocket | None = None
        self._fences = itertools.count()

    @property
    def host_header(self) -> str:
        """HOST:PORT."""
        return f"{self._host}:{self._port}"

    async def open(self, credentials: tuple[str, str]) -> RawSocket:
        """An honest handshake, tried again for a while: throttling may slow us down, never lock us out."""
        identity, password = credentials
        request = Handshake(
            path=path_of(self._base, identity),
            authorization=basic(identity, password),
            subprotocol=self._protocol,
        )
        status = 0
        for _ in range(REOPEN_TRIES):
            try:
                status, socket = await RawSocket.connect(
                    self._host, self._port, request.encode(self.host_header), self.timeout_s
                )
            except OSError:
                await asyncio.sleep(REOPEN_PAUSE_S)
                continue
            if status == UPGRADED:
                return socket
            await socket.close()
            await asyncio.sleep(REOPEN_PAUSE_S)
        raise ProbeError(
            f"{identity} is not let in any more (last status {status or 'none'}); are its credentials right?"
        )

    async def close(self) -> None:
        """Let go of the attacker's socket."""
        if self._socket is not None:
            await self._socket.close()
            self._socket = None

    async def _ready(self) -> RawSocket:
        if self._socket is None or self._socket.closed is not None:
            await self.close()
            self._socket = await self.open(self._attacker)
            self.report.reopened += 1
        return self._socket

    # --- one case

    async def try_case(self, case: Case) -> None:
        """Send, see what comes back, judge, and make sure that the connection still works (or comes back)."""
        socket = await self._ready()
        raw = case.raw or frame((case.text or "").encode("utf-8", "surrogatepass"))
        await socket.send(raw, self.timeout_s)
        if not case.expect.must_answer and not case.spoils:
            await self._fence(socket)
        outcome = await self._outcome(socket, case)
        self._judge(case.name, case.expect.must(outcome), case.expect.should(outcome))
        if outcome.kind == "close" or case.spoils:
            await self.close()
        elif not await self._alive(socket):
            self._judge(case.name, "the connection is dead afterwards", None)
            await self.close()

    async def _fence(self, socket: RawSocket) -> None:
        """A Heartbeat behind the case: its answer says that nothing more comes for the case itself."""
        await socket.send(frame(call("Heartbeat", {}, "fence").encode()), self.timeout_s)

    async def _outcome(self, socket: RawSocket, case: Case) -> Outcome:
        for _ in range(FRAMES_PER_CASE_MAX):
            heard = await socket.next(case.wait_s if case.spoils else self.timeout_s)
            if heard is None:
                return Outcome(kind="nothing")
            if isinstance(heard, Closed):
                return Outcome(kind="close", code=str(heard.code))
            if await self.answered_server_call(socket, heard.text):
                continue
            outcome = judge_text(heard.text)
            return Outcome(kind="nothing") if outcome.message_id == "fence" else outcome
        return Outcome(kind="strange")

    async def _alive(self, socket: RawSocket) -> bool:
        """Whether a Heartbeat is answered; what is left over from the case is read away."""
        if socket.closed is not None:
            return True  # judged by the next case's handshake
        name = f"alive-{next(self._fences)}"
        await socket.send(frame(call("Heartbeat", {}, name).encode()), self.timeout_s)
        for _ in range(FRAMES_PER_CASE_MAX):
            heard = await socket.next(self.timeout_s)
            if not isinstance(heard, Text):
                return False
            if judge_text(heard.text).message_id == name:
                return True
            await self.answered_server_call(socket, heard.text)
        return False

    async def answered_server_call(self, socket: RawSocket, text: str) -> bool:
        """Whether the server asks something; answered with any valid reply."""
        if not text.lstrip().startswith("[2"):
            return False
        _, message_id, action, *_ = json.loads(text)
        made = schemas.reply(self._protocol, action)
        reply = [3, message_id, made] if made is not None else [4, message_id, "NotImplemented", "", {}]
        await socket.send(frame(json.dumps(reply, separators=(",", ":")).encode()), self.timeout_s)
        return True

    async def knock(self, knock: Knock) -> None:
        """One handshake; a socket that opened is closed at once."""
        try:
            status, socket = await RawSocket.connect(self._host, self._port, knock.request, self.timeout_s)
        except OSError:
            self._judge(knock.name, "the server does not listen any more", None)
            return
        outcome = Outcome(kind="opened") if status == UPGRADED else Outcome(kind="refused", code=str(status))
        self._judge(knock.name, knock.expect.must(outcome), knock.expect.should(outcome))
        await socket.close()

    def _judge(self, name: str, must: str | None, should: str | None) -> None:
        if must is not None:
            self.report.must_failed.append(Finding(case=name, why=must))
        elif should is not None:
            self.report.should_failed.append(Finding(case=name, why=should))


def case_names(protocol: str) -> Iterable[str]:
    """All case names but the handshakes', for a look at what is tried."""
    return [case.name for case in itertools.chain(cases(protocol), wire_cases())]
