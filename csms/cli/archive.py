"""csms archive: billing's commands on our connection, and on the files of our directory."""

from __future__ import annotations

from pathlib import Path

import click

from billing import archive_group
from csms.cli.context import connect, default_actor, settings_of


def archive_directory(context: click.Context) -> Path:
    """Where documents are kept."""
    return settings_of(context).archive_directory


archive = archive_group(connect, directory=archive_directory, actor=default_actor)
