"""Groups of commands that several rooms add to. Whose commands nobody asks for is not imported."""

from __future__ import annotations

from collections.abc import Callable

import click


class Gathered(click.Group):
    """Has the commands of its own room at once, and those of others when one is asked for that is not among them."""

    gather: Callable[[], None] | None = None
    """Imports the other rooms' modules, which add their commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._gather()
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = super().get_command(ctx, cmd_name)
        if found is None:
            self._gather()
            found = super().get_command(ctx, cmd_name)
        return found

    def _gather(self) -> None:
        if self.gather is not None:
            self.gather()
            self.gather = None
