"""csms mail: billing's commands on our connection, with the mail server of our settings."""

from __future__ import annotations

import click

from billing import MailSettings, mail_group
from csms.cli.context import connect, default_actor, settings_of
from csms.mail import mail_settings


def _settings_of(context: click.Context) -> MailSettings | None:
    return mail_settings(settings_of(context))


mail = mail_group(connect, settings_of=_settings_of, actor=default_actor)
