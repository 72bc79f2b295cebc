"""OCPP 2.1 as far as it is 2.0.1: that version's tables, and what is different. What is new has no row in them.

A CALL that is new in 2.1 is therefore answered with NotSupported, and a command that only 2.1 has does not exist yet.
"""

from csms.protocol import v201
from csms.protocol.outgoing import Writers
from csms.protocol.v21 import answers, commands, facts

__all__ = ["ANSWERS", "CALLS", "READERS"]

CALLS: Writers = {**v201.CALLS, **commands.CALLS}
READERS = {**v201.READERS, **facts.READERS}
ANSWERS = {**v201.ANSWERS, **answers.ANSWERS}
