"""csms mail test: one mail by the settings there are, beside the queue, and what the mail server said step by step."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

import click

from billing.cli_output import Output, async_command, output_options
from billing.errors import Refused, Unavailable
from billing.mail.address import Mailbox, envelope_form, mistake_in
from billing.mail.mail_settings import MailSettings
from billing.mail.message import MESSAGE_ID_LENGTH
from billing.mail.mime import Letter, as_bytes, as_data
from billing.mail.smtp import AnswerLost, Envelope, MailSession, Refusal, ServerTrouble, SessionLost

SettingsOf: TypeAlias = Callable[[click.Context], MailSettings | None]
"""How mail is sent; None: it is not set."""


def add_test(group: click.Group, settings_of: SettingsOf) -> None:
    @group.command("test")
    @click.option("--to", "address", metavar="ADDRESS", required=True, help="Who gets it.")
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, address: str, output: Output) -> None:
        """Send a mail by the settings there are, and show what the mail server says to each step. It is not queued.

        \b
        Example:
          CSMS_SMTP_HOST=mail.operator.example csms mail test --to me@operator.example
        """
        settings = settings_of(context)
        if settings is None:
            raise Refused("no mail server is set", "set CSMS_SMTP_HOST and CSMS_MAIL_SENDER")
        if (wrong := mistake_in(address)) is not None:
            raise Refused(f"{address} cannot be written to: {wrong}", "write it as NAME@DOMAIN")
        said: list[dict[str, object]] = []
        trouble = await _try(settings, address, lambda step, answer: said.append({"step": step, "answer": answer}))
        output.rows(said, columns=("step", "answer"))
        if trouble is not None:
            raise Unavailable(
                f"the mail was not accepted: {trouble}", "see what the mail server said, and the settings"
            )


async def _try(settings: MailSettings, address: str, tell: Callable[[str, str], None]) -> str | None:
    """Why it was not accepted; None: it was."""
    message = as_bytes(_letter(settings.sender, address))
    envelope_id = secrets.token_hex(12)
    envelope = Envelope(
        id=envelope_id, return_path=settings.return_path_of(envelope_id, settings.sender),
        recipient=envelope_form(address), size=len(message),
    )  # fmt: skip
    session = MailSession(settings.server, tell=tell)
    try:
        await session.open()
        await session.begin(envelope)
        await session.transmit(as_data(message))
        reply = await session.finish()
    except Refusal as refused:
        return f"{refused.stage} was answered with {refused.reply.in_short}"
    except (ServerTrouble, SessionLost, AnswerLost) as trouble:
        return str(trouble)
    finally:
        await session.close()
    return None if reply.is_yes else f"it was answered with {reply.in_short}"


def _letter(sender: Mailbox, address: str) -> Letter:
    return Letter(
        message_id=secrets.token_hex(MESSAGE_ID_LENGTH // 2),
        queued_at=datetime.now(UTC),
        sender=sender,
        to=(Mailbox(address=address),),
        cc=(),
        reply_to=None,
        subject="Test mail",
        text="This mail shows that mails can be sent. Nothing is to be done.\n",
        html=None,
    )
