"""How charge points deviate, and what is done about it: names in code, everything else as data (`catalogue`)."""

from csms.protocol.quirks.names import Accommodation, Quirk, Seen

__all__ = ["Accommodation", "Quirk", "Seen"]
