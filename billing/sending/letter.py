"""The mail with which a document leaves the house: to whom, from whom, what it says, what goes with it. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from billing.accounts.account import Account
from billing.accounts.brand import BrandMail
from billing.documents.brand import Brand
from billing.documents.mail_writing import mail_text
from billing.invoices.document import Document, DocumentForm
from billing.invoices.filed import ARCHIVED, FiledFile, file_name
from billing.mail.address import Mailbox, mistake_in
from billing.mail.message import Attachment, MailMessage


class CannotBeSent(ValueError):
    """There is no such mail: the text says why, `next_step` whose move it is."""

    def __init__(self, message: str, next_step: str) -> None:
        super().__init__(message)
        self.next_step = next_step


def key_of(seller: str, number: str, n: int) -> str:
    """What a document's mail is known by, for ever; `n`: which time it is that it goes out."""
    key = f"invoice {seller} {number}"
    return key if n == 1 else f"{key}, time {n}"


def address_of(account: Account) -> Mailbox:
    """Where an account's documents go.

    Raises:
        CannotBeSent: nowhere that can be written to.
    """
    address = account.details.invoice_email or account.details.party.email
    enter = f"csms account set {account.id} --invoice-email ADDRESS --reason ..."
    if address is None:
        raise CannotBeSent(f"account {account.id} has no e-mail address", enter)
    if (wrong := mistake_in(address)) is not None:
        raise CannotBeSent(f"account {account.id}: {wrong}", enter)
    return Mailbox(address=address, name=account.name)


def letter_of(
    document: Document,
    *,
    seller: str,
    n: int,
    to: Account,
    looks: Brand,
    mail: BrandMail | None,
    files: Iterable[FiledFile],
) -> MailMessage:
    """The message. `seller`: the id under which the books have it; `mail`: how its brand writes.

    Without a brand the operator's usual sender writes, and answers go to whoever wrote the document.

    Raises:
        CannotBeSent: see address_of().
        Refused: there are no words in the document's language.
    """
    text = mail_text(document, looks, {} if mail is None else mail.texts)
    sender = None
    if mail is not None and mail.address is not None:
        sender = Mailbox(address=mail.address, name=mail.name or looks.name)
    return MailMessage(
        key=key_of(seller, document.number, n),
        kind=document.kind.value,
        to=(address_of(to),),
        subject=text.subject,
        text=text.body,
        attachments=tuple(
            Attachment(
                name=file_name(document.number, each),
                content_type=each.media_type,
                ref=f"{ARCHIVED}{each.sha256.hex()}",
            )
            for each in files
        ),
        brand=document.brand,
        sender=sender,
        reply_to=_answers_to(document, mail),
        account=to.id,
    )


def _answers_to(document: Document, mail: BrandMail | None) -> Mailbox | None:
    if mail is not None and (mail.reply_to is not None or mail.address is not None):
        return None if mail.reply_to is None else Mailbox(address=mail.reply_to)
    writer = document.buyer if document.form is DocumentForm.SELF_BILLED else document.seller
    if writer is None or writer.email is None or mistake_in(writer.email) is not None:
        return None
    return Mailbox(address=writer.email, name=writer.name)
