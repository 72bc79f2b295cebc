"""csms node: the servers that share this database."""

from __future__ import annotations

from importlib.resources import files

import click

from billing import Output, async_command, output_options
from csms.cli.context import connect
from csms.nodes.service import live_nodes

COLUMNS = ("id", "host", "pid", "charge_points", "started_at", "heard_at", "ocpp_url", "http_url")


@click.group()
def node() -> None:
    """Nodes: the servers, and the workers of servers, that share this database.

    \b
    Example:
      csms node list
    """


@node.command("list")
@output_options
@click.pass_context
@async_command
async def list_(context: click.Context, output: Output) -> None:
    """List the nodes that run, with how many charge points each holds.

    \b
    Example:
      csms node list -o json
    """
    async with connect(context) as connection:
        output.rows(await live_nodes(connection), columns=COLUMNS)


@node.command("haproxy-example")
def haproxy_example() -> None:
    """Print a configuration of HAProxy in front of three nodes, with and without TLS.

    \b
    Example:
      csms node haproxy-example > haproxy.cfg
    """
    click.echo((files("csms.gateway") / "examples" / "haproxy.cfg").read_text(encoding="utf-8"), nl=False)
