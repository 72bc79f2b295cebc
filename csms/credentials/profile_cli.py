"""csms cp security-profile: have a charge point come up with a higher OCPP security profile (A05)."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import click

from billing import CliError, ExitCode, Output, Refused, async_command, output_options
from csms.charge_points import service as charge_points
from csms.charge_points.asking import finish, require_online, said, send, timeout_option
from csms.charge_points.charge_point import ChargePoint
from csms.charge_points.device_settings import settings_of as settings_in
from csms.charge_points.service import WITH_PASSWORD
from csms.cli.context import connect
from csms.credentials import service
from csms.credentials.change import ChangeState, state_after
from csms.protocol.blocks.credentials import RaiseSecurityProfile
from csms.protocol.blocks.monitoring import SetNetworkProfile
from csms.protocol.vocabulary import GetSettings, Outcome, Protocol, Reset, SetSettings

PRIORITY = "OCPPCommCtrlr.NetworkConfigurationPriority"
MESSAGE_TIMEOUT_S = 30


@click.command("security-profile")
@click.argument("id_", metavar="CP")
@click.argument("profile", type=click.IntRange(1, 3), required=False)
@click.option("--url", help="OCPP 2.x: of the central system for this profile, without the charge point's identity.")
@click.option(
    "--slot", type=click.IntRange(0, 2**31 - 1), default=1, show_default=True, help="OCPP 2.x: where to store it."
)
@click.option("--interface", default="Wired0", show_default=True, help="OCPP 2.x: the network that it goes by.")
@click.option("--restart/--no-restart", default=True, show_default=True, help="Restart it where it says that it must.")
@click.option("--give-up", is_flag=True, help="Take the present profile only, as before; nothing is sent.")
@timeout_option
@output_options
@click.pass_context
@async_command
async def security_profile(
    context: click.Context, /, id_: str, profile: int | None, url: str | None, slot: int, interface: str,
    restart: bool, give_up: bool, timeout_s: float, output: Output,
) -> None:  # fmt: skip
    """Have a charge point come up with a higher security profile: 1 password, 2 with TLS, 3 certificate.

    Until it does, the present one is taken too; once it has, nothing lower is. No message lowers a profile: csms cp set
    --security-profile says what is taken here, and sends nothing.

    \b
    Examples:
      csms cp security-profile CP-001 2
      csms cp security-profile CP-002 2 --url wss://csms.example:9443/ocpp
      csms cp security-profile CP-001 --give-up
    """
    if (profile is None) != give_up:
        raise click.UsageError("name the profile, 1 to 3, or --give-up")
    async with connect(context) as connection:
        known = await charge_points.get(connection, id_)
        if profile is None:
            await service.want_profile(connection, known.id, None)
            outcome = Outcome(accepted=True, status="given up")
        else:
            _require_higher(known, profile)
            protocol = await require_online(connection, known)
            if protocol is not Protocol.V16 and url is None:
                raise click.UsageError(f"{protocol} needs to be told where to connect: --url wss://HOST:PORT/ocpp")
            asking = _Asking(connection, known, timeout_s, restart=restart)
            work = (
                asking.of_key(profile)
                if protocol is Protocol.V16
                else asking.of_network(profile, url or "", slot, interface)
            )
            outcome = await _carried_out(connection, known, profile, work)
        known = await charge_points.get(connection, known.id)
    output.one(
        {"id": known.id, "security_profile": known.security_profile, "wanted": known.security_profile_wanted}
        | said(outcome)
    )
    finish(context, outcome)


async def _carried_out(
    connection: Any, known: ChargePoint, profile: int, work: Coroutine[Any, Any, Outcome]
) -> Outcome:
    """Take both profiles before anything is sent, and only the present one again where the charge point refuses."""
    await service.want_profile(connection, known.id, profile)
    try:
        outcome = await work
    except CliError as failed:
        if failed.exit_code == ExitCode.USAGE:  # it was never sent
            await service.want_profile(connection, known.id, known.security_profile_wanted)
        raise
    if not outcome.accepted and state_after(outcome) is ChangeState.REFUSED:
        await service.want_profile(connection, known.id, known.security_profile_wanted)
    return outcome


def _require_higher(known: ChargePoint, profile: int) -> None:
    if profile <= known.security_profile:
        raise Refused(
            f"{known.id} has security profile {known.security_profile}: no message lowers it (OCPP 2.0.1 A05)",
            "name a higher one; csms cp set --security-profile says what is taken here",
        )
    if profile in WITH_PASSWORD and known.password_hash is None:
        raise Refused(
            f"{known.id} has no password, which security profile {profile} needs",
            f"give it one first: csms cp password rotate {known.id}",
        )


class _Asking:
    """The steps by which one charge point is brought to another profile; the first one that it refuses ends them."""

    def __init__(self, connection: Any, charge_point: ChargePoint, timeout_s: float, *, restart: bool) -> None:
        self._connection = connection
        self._charge_point = charge_point
        self._timeout_s = timeout_s
        self._restart = restart

    async def of_key(self, profile: int) -> Outcome:
        """1.6 (security white paper A05): the charge point connects again by itself, unless it says otherwise."""
        outcome = await self._send(RaiseSecurityProfile(profile=profile))
        return await self._restarted(outcome) if outcome.status == "RebootRequired" else outcome

    async def of_network(self, profile: int, url: str, slot: int, interface: str) -> Outcome:
        """2.x (A05, B09, B10): a network profile, its place before all others, a restart."""
        stored = await self._send(
            SetNetworkProfile(
                slot=slot, url=url, security_profile=profile, interface=interface, message_timeout_s=MESSAGE_TIMEOUT_S
            )
        )
        if not stored.accepted:
            return stored
        read = settings_in(await self._send(GetSettings(names=(PRIORITY,))))
        present = next((value for value, _ in read.values() if value), "")
        others = [each for each in present.split(",") if each.strip() and each.strip() != str(slot)]
        first = await self._send(SetSettings(values=((PRIORITY, ",".join([str(slot), *others])),)))
        return await self._restarted(first) if first.accepted else first

    async def _restarted(self, outcome: Outcome) -> Outcome:
        if not self._restart:
            return outcome
        reset = await self._send(Reset())
        return outcome if reset.accepted else reset

    async def _send(self, command: Any) -> Outcome:
        return await send(self._connection, self._charge_point, command, timeout_s=self._timeout_s)
