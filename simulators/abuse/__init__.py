"""The abuse probe: hostile frames, bytes and handshakes, each with what a sound central system does about it."""

from simulators.abuse.probe import AbuseReport, Finding, run_abuse

__all__ = ["AbuseReport", "Finding", "run_abuse"]
