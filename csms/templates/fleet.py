"""Which charge points a command speaks of, and what they have set as they tell it now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from billing import CliError, ExitCode
from csms.charge_points import service as charge_points
from csms.charge_points.device_settings import DeviceSettings, Send
from csms.nodes.routing import ask
from csms.protocol.vocabulary import Command, Outcome, Protocol
from csms.sites import service as sites

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Charge points by id, or all of a site, of a model, of both, or everywhere."""

    ids: Sequence[str] = ()
    site: str | None = None
    model: str | None = None
    everywhere: bool = False

    @property
    def is_named(self) -> bool:
        return bool(self.ids) or self.everywhere or (self.site, self.model) != (None, None)

    def check(self) -> None:
        """Raises:
        click.UsageError: it names none, or in more than one way.
        """
        ways = [bool(self.ids), self.everywhere, (self.site, self.model) != (None, None)]
        if ways.count(True) != 1:
            raise click.UsageError("name charge points, or --site SITE and/or --model MODEL, or --all")

    async def find(self, connection: Any) -> list[Mapping[str, Any]]:
        """As they are listed, in the order of their ids.

        Raises:
            CliError: there is none.
        """
        if self.ids:
            known = [await charge_points.get(connection, id_) for id_ in dict.fromkeys(self.ids)]
            return [(await charge_points.list_charge_points(connection, identity=each.id))[0] for each in known]
        if self.site is not None:
            await sites.get(connection, self.site)
        listed = await charge_points.list_charge_points(connection, site=self.site)
        wanted = None if self.model is None else self.model.casefold()
        found = [each for each in listed if wanted is None or (each["model"] or "").casefold() == wanted]
        if not found:
            raise CliError("no such charge point", "see csms cp list", ExitCode.NOT_FOUND)
        return found


def fleet_options(command: F) -> F:
    """`--site`, `--model` and `--all`, as `fleet_of` takes them."""
    for option in (
        click.option("--all", "everywhere", is_flag=True, help="All charge points."),
        click.option("--model", help="All of a model, as charge points name it when they boot."),
        click.option("--site", help="All of a site."),
    ):
        command = option(command)
    return command


def sender(connection: Any, charge_point: str, *, actor: str, timeout_s: float) -> Send:
    """Asks through the server that holds the socket; what nobody could deliver is an outcome."""

    async def send(command: Command) -> Outcome:
        return await ask(connection, charge_point, command, actor=actor, timeout_s=timeout_s)

    return send


async def read_now(
    connection: Any, listed: Mapping[str, Any], names: Sequence[str], *, actor: str, timeout_s: float
) -> list[str]:
    """Have it tell some of its settings, and keep them, where it is online; those that it says it does not have."""
    (now,) = await charge_points.list_charge_points(connection, identity=listed["id"])
    if not now["online"] or not names:
        return []
    device = DeviceSettings(
        charge_point=now["id"],
        protocol=Protocol(now["protocol"]),
        send=sender(connection, now["id"], actor=actor, timeout_s=timeout_s),
        books=lambda: nullcontext(connection),
    )
    outcome = await device.read(names)
    return [str(name) for name in outcome.data.get("unknown", [])]
