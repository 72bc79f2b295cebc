"""`sim run|fleet|replay`: simulated charge points from the command line. Prints; the work is elsewhere."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from simulators.capture import CaptureError
from simulators.charge_point.link import HandshakeRefusedError, NotConnectedError
from simulators.charge_point.station import BootRefusedError
from simulators.charge_point.truth import TrueSession
from simulators.fleet import FLEET_MAX, FleetPlan, FleetReport, run_fleet
from simulators.replay import ReplayError, ReplayReport, replay
from simulators.scenarios import Scenario, ScenarioError, ScenarioResult, load, run_scenario, shipped
from simulators.scenarios.story import PROTOCOLS, duration

Provision = Callable[[int], Sequence[tuple[str, str]]]
Decorator = Callable[[Any], Any]
Result = TypeVar("Result")
FAILED, PARTIAL = 1, 8
WIDTH_IN_A_PIPE = 160

OUTPUT = click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), help="Default: table on a terminal, else json."
)
URL = click.option("--url", required=True, help="ws://HOST:PORT/ocpp, without the identity; on this machine.")


RUN_OPTIONS: tuple[Decorator, ...] = (
    click.argument("file"),
    URL,
    click.option("--identity", help="Default: the file's, else a charge point made for the occasion."),
    click.option("--password", help="Of that identity; empty for a charge point without one."),
    click.option("--protocol", type=click.Choice(PROTOCOLS), help="Default: the file's."),
    click.option("--token", help="The card that is shown; default: the file's."),
    click.option(
        "--speed", type=click.FloatRange(min=0, min_open=True), help="Model seconds per second; default: no waiting."
    ),
    click.option("--start", help="RFC 3339 instant at which it begins; default: the file's."),
    click.option("--now", is_flag=True, help="Begin so that it ends now."),
    OUTPUT,
)

FLEET_OPTIONS: tuple[Decorator, ...] = (
    click.argument("n", type=click.IntRange(1, FLEET_MAX)),
    URL,
    click.option("--provision", "make", is_flag=True, help="Create the N charge points first."),
    click.option("--credentials", type=click.File(), help="Lines IDENTITY:PASSWORD, one per charge point."),
    click.option("--sessions", type=click.IntRange(1, 10_000), default=1, show_default=True, help="Each."),
    click.option("--kwh", default="5", show_default=True, help="Each session."),
    click.option("--for", "length", default="30m", show_default=True, help="Each session, model time."),
    click.option("--every", default="5m", show_default=True, help="Between two samples, model time."),
    click.option(
        "--share-201", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Share on OCPP 2.0.1."
    ),
    click.option("--token", default="CARD-0001", show_default=True),
    click.option(
        "--speed", type=click.FloatRange(min=0, min_open=True), help="Model seconds per second; default: no waiting."
    ),
    click.option("--stagger", type=click.FloatRange(0), default=0.0, help="Seconds over which they begin."),
    OUTPUT,
)

REPLAY_OPTIONS: tuple[Decorator, ...] = (
    click.argument("frames", type=click.Path(exists=True, dir_okay=False)),
    URL,
    click.option("--identity", help="Default: the captured one."),
    click.option("--password", required=True, help="Of that identity; empty for a charge point without one."),
    click.option(
        "--speed", type=click.FloatRange(min=0, min_open=True), help="Captured seconds per second; default: no waiting."
    ),
    click.option("--now", is_flag=True, help="Move all timestamps so that the first one is now."),
    click.option("--protocol", type=click.Choice(PROTOCOLS), help="Default: the captured one."),
    click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(0.1, 600),
        default=30.0,
        show_default=True,
        help="Seconds per answer.",
    ),
    OUTPUT,
)


NEXT_STEPS: dict[type[Exception], str] = {
    NotConnectedError: "start the server, or correct --url",
    BootRefusedError: "see what registration the server has for it",
    CaptureError: "correct the capture",
    ReplayError: "correct what is named, and see that the server runs",
}


class SimulationFailed(click.ClickException):
    """A simulation came to nothing; who embeds the commands finds what to do next beside the message."""

    def __init__(self, message: str, next_step: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.next_step = next_step
        self.exit_code = exit_code  # type: ignore[misc]  # click declares a class constant and reads the instance

    @classmethod
    def of(cls, refusal: HandshakeRefusedError) -> SimulationFailed:
        return cls(refusal.message, refusal.next_step, refusal.exit_code)

    def format_message(self) -> str:
        return f"{self.message}; {self.next_step}"


def _all(options: tuple[Decorator, ...]) -> Decorator:
    """Several options, in the order in which --help lists them."""

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def sim_group(provision: Provision | None = None) -> click.Group:
    """The `sim` commands. ``provision(n)`` creates n charge points and returns their (identity, password)."""

    @click.group()
    def sim() -> None:
        """Simulated charge points.

        \b
        Examples:
          csms sim run normal --url ws://127.0.0.1:9000/ocpp --identity CP-1 --password SECRET
          csms sim fleet 20 --url ws://127.0.0.1:9000/ocpp --provision
          csms sim replay capture.jsonl --url ws://127.0.0.1:9000/ocpp --identity CP-1 --password SECRET
        """

    sim.add_command(_run_command(provision))
    sim.add_command(_fleet_command(provision))
    sim.add_command(_replay_command())
    return sim


def _run_command(provision: Provision | None) -> click.Command:
    @click.command("run")
    @_all(RUN_OPTIONS)
    def run(
        file: str,
        url: str,
        identity: str | None,
        password: str | None,
        protocol: str | None,
        token: str | None,
        speed: float | None,
        start: str | None,
        now: bool,
        output: str | None,
    ) -> None:
        """Play a scenario: a TOML FILE, or the name of one that comes along.

        \b
        Examples:
          csms sim run normal --url ws://127.0.0.1:9000/ocpp --identity CP-1 --password SECRET
          csms sim run offline_replay --url ws://127.0.0.1:9000/ocpp --protocol ocpp2.0.1 --now
          csms sim run my.toml --url ws://127.0.0.1:9000/ocpp --identity CP-1 --password SECRET -o json
        """
        scenario = _guarded(lambda: load(file))
        who, secret = _credentials(scenario, identity, password, provision)
        base = _time_base(scenario, start, now=now)
        with _progress("steps", len(scenario.steps)) as advance:
            playing = run_scenario(
                scenario,
                url,
                who,
                secret,
                protocol=protocol,
                time_base=base,
                token=token,
                speed=speed,
                on_step=lambda _step, _station: advance(),
            )
            result = _waited(playing)
        _show(output, _scenario_data(result), lambda: _scenario_table(result))
        if not result.ok:
            sys.exit(FAILED)

    known = ", ".join(shipped())
    run.epilog = f"Scenarios that come along: {known}."
    return run


def _fleet_command(provision: Provision | None) -> click.Command:
    @click.command("fleet")
    @_all(FLEET_OPTIONS)
    def fleet(
        n: int,
        url: str,
        make: bool,
        credentials: Any,
        sessions: int,
        kwh: str,
        length: str,
        every: str,
        share_201: float,
        token: str,
        speed: float | None,
        stagger: float,
        output: str | None,
    ) -> None:
        """Let N charge points charge at once.

        \b
        Examples:
          csms sim fleet 20 --url ws://127.0.0.1:9000/ocpp --provision
          csms sim fleet 200 --url ws://127.0.0.1:9000/ocpp --credentials fleet.txt --sessions 5 -o json
        """
        pairs = _fleet_credentials(n, credentials, provision if make else None)
        plan = _guarded(
            lambda: FleetPlan(
                sessions=sessions,
                energy_wh=Decimal(kwh) * 1000,
                duration=duration(length),
                sample_every=duration(every),
                share_201=share_201,
                token=token,
                speed=speed,
                stagger_s=stagger,
            )
        )
        with _progress("charge points", n) as advance:
            report = _waited(run_fleet(n, url, pairs, plan, on_done=lambda _count: advance()))
        _show(output, _fleet_data(report), lambda: _fleet_table(report))
        if report.refusals and not report.finished:
            raise SimulationFailed.of(report.refusals[0])
        if not report.ok:
            sys.exit(PARTIAL)

    return fleet


def _replay_command() -> click.Command:
    @click.command("replay")
    @_all(REPLAY_OPTIONS)
    def replay_command(
        frames: str,
        url: str,
        identity: str | None,
        password: str,
        speed: float | None,
        now: bool,
        protocol: str | None,
        timeout_s: float,
        output: str | None,
    ) -> None:
        """Send the captured calls of a charge point again, with our ids and credentials.

        \b
        Examples:
          csms sim replay capture.jsonl --url ws://127.0.0.1:9000/ocpp --identity CP-1 --password SECRET
          csms sim replay capture.jsonl --url ws://127.0.0.1:9000/ocpp --password SECRET --now --speed 10 -o json
        """
        with _progress("frames", None) as advance:
            replaying = replay(
                frames,
                url,
                identity,
                password,
                speed=speed,
                now=now,
                protocol=protocol,
                answer_timeout_s=timeout_s,
                frames_done=lambda _done, _total: advance(),
            )
            report = _waited(replaying)
        _show(output, _replay_data(report), lambda: _replay_table(report))
        if report.unanswered:
            sys.exit(PARTIAL)

    return replay_command


# --- what goes in


def _guarded(make: Callable[[], Result]) -> Result:
    try:
        return make()
    except (ScenarioError, ValueError, ArithmeticError) as mistake:
        raise click.UsageError(str(mistake) or "not a number") from None


def _waited(work: Coroutine[Any, Any, Result]) -> Result:
    try:
        return asyncio.run(work)
    except HandshakeRefusedError as refusal:
        raise SimulationFailed.of(refusal) from None
    except (NotConnectedError, BootRefusedError, CaptureError, ReplayError) as failure:
        raise SimulationFailed(str(failure), NEXT_STEPS[type(failure)]) from None
    except ValueError as mistake:
        raise click.UsageError(str(mistake)) from None


def _credentials(
    scenario: Scenario, identity: str | None, password: str | None, provision: Provision | None
) -> tuple[str, str]:
    who = identity or scenario.identity
    if who is not None:
        return who, scenario.password or "" if password is None else password
    if provision is None:
        raise click.UsageError("which charge point? give --identity and --password, or write them into the scenario")
    return provision(1)[0]


def _time_base(scenario: Scenario, start: str | None, *, now: bool) -> datetime | None:
    if now:
        return datetime.now(UTC).replace(microsecond=0) - scenario.length
    if start is None:
        return None
    try:
        parsed = datetime.fromisoformat(start)
    except ValueError:
        raise click.UsageError(f"--start {start}: not an instant; write it like 2026-03-02T08:00:00Z") from None
    if parsed.tzinfo is None:
        raise click.UsageError(f"--start {start} has no zone; add Z or an offset")
    return parsed


def _fleet_credentials(n: int, lines: Any, provision: Provision | None) -> Sequence[tuple[str, str]]:
    if lines is not None:
        pairs = [line.strip().split(":", 1) for line in lines if line.strip()]
        if any(len(pair) != 2 for pair in pairs):  # noqa: PLR2004 - identity and password
            raise click.UsageError("--credentials: each line must be IDENTITY:PASSWORD")
        return [(identity, password) for identity, password in pairs]
    if provision is None:
        raise click.UsageError(f"{n} charge points need credentials; give --provision or --credentials FILE")
    return provision(n)


# --- what comes out


@contextmanager
def _progress(what: str, total: int | None) -> Iterator[Callable[[], None]]:
    """A bar on stderr, on a terminal only."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


def _show(output: str | None, data: dict[str, Any], table: Callable[[], Table]) -> None:
    if (output or ("table" if sys.stdout.isatty() else "json")) == "json":
        click.echo(json.dumps(data, indent=2))
    else:
        Console(width=None if sys.stdout.isatty() else WIDTH_IN_A_PIPE).print(table())


def _instant(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _session_data(session: TrueSession) -> dict[str, Any]:
    return {
        "evse": session.evse,
        "token": session.token,
        "transaction_id": session.transaction_id,
        "started_at": _instant(session.started_at),
        "ended_at": _instant(session.ended_at),
        "energy_wh": str(session.energy_wh),
        "declared_wh": None if session.declared_wh is None else str(session.declared_wh),
        "start_told": session.start_told,
        "end_told": session.end_told,
        "displayed": None if session.displayed is None else str(session.displayed),
    }


def _scenario_data(result: ScenarioResult) -> dict[str, Any]:
    return {
        "scenario": result.scenario,
        "charge_point": result.charge_point,
        "protocol": result.protocol,
        "ok": result.ok,
        "sessions": [_session_data(session) for session in result.truth.sessions],
        "messages_told": len(result.truth.told),
        "messages_discarded": len(result.truth.discarded),
        "messages_queued": result.queued,
        "unmet": list(result.unmet),
        "failures": list(result.failures),
    }


def _scenario_table(result: ScenarioResult) -> Table:
    table = Table(title=f"{result.title} ({result.charge_point}, {result.protocol})", caption=_caption(result))
    for name in ("EVSE", "token", "transaction", "started", "lasted", "flowed Wh", "declared Wh", "displayed"):
        table.add_column(name, justify="right" if name.endswith("Wh") else "left")
    for session in result.truth.sessions:
        lasted = timedelta() if session.ended_at is None else session.ended_at - session.started_at
        table.add_row(
            str(session.evse),
            session.token,
            str(session.transaction_id),
            _instant(session.started_at),
            "running" if session.ended_at is None else str(lasted),
            f"{session.energy_wh:f}",
            "" if session.declared_wh is None else f"{session.declared_wh:f}",
            "" if session.displayed is None else f"{session.displayed:f}",
        )
    return table


def _caption(result: ScenarioResult) -> str:
    truth = result.truth
    counts = f"{len(truth.told)} messages told, {len(truth.discarded)} lost, {result.queued} queued"
    return "; ".join([counts, *result.unmet])


def _fleet_data(report: FleetReport) -> dict[str, Any]:
    p50, p99 = report.latency_ms(0.5), report.latency_ms(0.99)
    return {
        "charge_points": report.charge_points,
        "finished": report.finished,
        "ok": report.ok,
        "seconds": round(report.seconds, 3),
        "sessions": len(report.sessions),
        "energy_wh": str(report.energy_wh),
        "messages_told": report.told,
        "messages_per_second": round(report.messages_per_second, 1),
        "messages_discarded": sum(report.discarded.values()),
        "messages_queued": report.queued,
        "latency_p50_ms": None if p50 is None else round(p50, 2),
        "latency_p99_ms": None if p99 is None else round(p99, 2),
        "handshakes": report.handshakes,
        "refused": dict(report.refused),
        "closed": {str(code): count for code, count in report.closed.items()},
        "failures": report.failures,
    }


def _replay_data(report: ReplayReport) -> dict[str, Any]:
    return {
        "charge_point": report.identity,
        "ok": report.ok,
        "frames_sent": report.sent,
        "answered": report.answered,
        "connections": report.connections,
        "refused": [
            {"line": one.line, "action": one.action, "code": one.code, "description": one.description}
            for one in report.refused
        ],
        "unanswered": [{"line": one.line, "action": one.action} for one in report.unanswered],
        "transactions": {str(captured): ours for captured, ours in report.transactions.items()},
        "server_calls": dict(report.server_calls),
        "closed_by_server": {str(code): count for code, count in report.closed_by_server.items()},
    }


def _pairs(title: str, data: dict[str, Any]) -> Table:
    table = Table("", "", title=title, show_header=False)
    for key, value in data.items():
        if value not in (None, [], {}):
            table.add_row(key.replace("_", " "), json.dumps(value) if isinstance(value, list | dict) else str(value))
    return table


def _fleet_table(report: FleetReport) -> Table:
    return _pairs(f"Fleet of {report.charge_points}", _fleet_data(report))


def _replay_table(report: ReplayReport) -> Table:
    return _pairs(f"Replay as {report.identity}", _replay_data(report))
