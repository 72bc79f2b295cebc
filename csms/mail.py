"""How mail is sent, from the settings. Reads the file with the password, and nothing else."""

from __future__ import annotations

from datetime import timedelta
from email.utils import parseaddr
from typing import Final

from billing import Mailbox, MailSettings, Refused, SmtpServer, TlsMode
from csms.settings import Settings

LEASES: Final = 3
"""Of a node: so long it may be unheard of before its mails are others', or doubtful. A wrong doubt costs a person's time."""


def mail_settings(settings: Settings) -> MailSettings | None:
    """None: no mail server is set, and mails wait.

    Raises:
        Refused: the file with the password cannot be read.
    """
    if settings.smtp_host is None:
        return None
    tls = TlsMode(settings.smtp_tls)
    name, address = parseaddr(settings.mail_sender or "")
    return MailSettings(
        server=SmtpServer(
            host=settings.smtp_host,
            port=settings.smtp_port or tls.usual_port,
            tls=tls,
            user=settings.smtp_user,
            password=_password(settings),
            ca=settings.smtp_ca,
            client_name=settings.smtp_client_name,
            timeout_s=settings.smtp_timeout_s,
            answer_timeout_s=settings.smtp_answer_timeout_s,
        ),
        sender=Mailbox(address=address, name=name),
        return_path=settings.mail_return_path,
        connections=settings.smtp_connections,
        per_minute_max=settings.mail_per_minute_max,
        bytes_max=settings.mail_bytes_max,
        lease=LEASES * timedelta(seconds=settings.node_lease_s),
        sweep_interval_s=settings.sweep_interval_s,
        drain_timeout_s=settings.drain_timeout_s,
    )


def _password(settings: Settings) -> str | None:
    file = settings.smtp_password_file
    if file is None:
        return settings.smtp_password
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as trouble:
        raise Refused(
            f"the password of the mail server cannot be read from {file}: {type(trouble).__name__}",
            "correct CSMS_SMTP_PASSWORD_FILE or the file's permissions",
        ) from None
