"""OCPP 2.0.1: messages on displays (block O)."""

from __future__ import annotations

from collections.abc import Callable

from csms.protocol.blocks.display_facts import DisplayMessage, DisplayMessagesReported
from csms.protocol.blocks.displays import ClearDisplayMessage, GetDisplayMessages, SetDisplayMessage
from csms.protocol.outgoing import Call, Writers, require
from csms.protocol.quirks import Quirk
from csms.protocol.repair import Fields, Message
from csms.protocol.times import print_time
from csms.protocol.v16.answers import acknowledgement
from csms.protocol.vocabulary import Decision, Fact

PRIORITIES = frozenset({"AlwaysFront", "InFront", "NormalCycle"})
STATES = frozenset({"Charging", "Faulted", "Idle", "Unavailable", "Discharging", "Suspended"})  # the last two: 2.1
FORMATS = frozenset({"ASCII", "HTML", "URI", "UTF8", "QRCODE"})  # the last one: 2.1
_TEXT_LENGTH_MAX = 2000  # the schema says 512; stations that hold more tell it


def set_display_message(command: SetDisplayMessage) -> Call:
    action, message = "SetDisplayMessage", command.message
    _require_number(action, message.id)
    require(action, message.text != "", "the text is empty")
    require(action, message.format != "ASCII" or message.text.isascii(), "the text is not all ASCII: it is UTF8")
    if message.start is not None and message.end is not None:
        require(action, message.start < message.end, "endDateTime is not after startDateTime")
    content: dict[str, object] = {"format": message.format, "content": message.text}
    if message.language is not None:
        content["language"] = message.language
    written: dict[str, object] = {"id": message.id, "priority": message.priority, "message": content}
    if message.state is not None:
        written["state"] = message.state
    if message.start is not None:
        written["startDateTime"] = print_time(message.start)
    if message.end is not None:
        written["endDateTime"] = print_time(message.end)
    if message.transaction is not None:
        require(action, message.transaction != "", "the transaction is empty")
        written["transactionId"] = message.transaction
    return action, {"message": written}


def get_display_messages(command: GetDisplayMessages) -> Call:
    payload: dict[str, object] = {"requestId": command.request}
    if command.ids:
        payload["id"] = list(command.ids)
    if command.priority is not None:
        payload["priority"] = command.priority
    if command.state is not None:
        payload["state"] = command.state
    return "GetDisplayMessages", payload


def clear_display_message(command: ClearDisplayMessage) -> Call:
    _require_number("ClearDisplayMessage", command.message)
    return "ClearDisplayMessage", {"id": command.message}


def _require_number(action: str, message: int) -> None:
    require(action, message > 0, f"messages count from 1, not {message}")


def notify_display_messages(message: Message) -> Fact | None:
    request = message.fields.integer("requestId")
    if request is None:
        return None
    found = [_message(message, Fields(item, message.quirks)) for item in message.fields.items("messageInfo")]
    return DisplayMessagesReported(
        request=request,
        more=message.fields.boolean("tbc") or False,
        messages=tuple(each for each in found if each is not None),
        quirks=message.noted(),
    )


def _message(message: Message, fields: Fields) -> DisplayMessage | None:
    """One that names no id, or that says nothing, is no message."""
    id_, content = fields.integer("id"), fields.child("message")
    text = None if content is None else content.text("content", _TEXT_LENGTH_MAX)
    if id_ is None or content is None or text is None:
        message.quirks.add(Quirk.WRONG_TYPE)
        return None
    start, end = fields.raw("startDateTime"), fields.raw("endDateTime")
    return DisplayMessage(
        id=id_,
        text=text,
        priority=fields.word_or("priority", PRIORITIES, "NormalCycle"),
        format=content.word_or("format", FORMATS, "UTF8"),
        state=fields.word("state", STATES),
        start=None if start is None else message.stamp(start).at,
        end=None if end is None else message.stamp(end).at,
        transaction=fields.identifier("transactionId"),
        language=content.description("language"),
    )


CALLS: Writers = {
    SetDisplayMessage: set_display_message,
    GetDisplayMessages: get_display_messages,
    ClearDisplayMessage: clear_display_message,
}
READERS: dict[str, Callable[[Message], Fact | None]] = {"NotifyDisplayMessages": notify_display_messages}
ANSWERS: dict[str, Callable[[Decision], dict[str, object]]] = {"NotifyDisplayMessages": acknowledgement}
