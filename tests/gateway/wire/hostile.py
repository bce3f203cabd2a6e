"""The hostile requests of `corpus/`, for whoever wants to send them somewhere.

Every case says how its first request is to be understood, so it can be fed to a parser, or sent to a running gateway,
which must answer `400` and close wherever `Refused` is expected, and pass on what ends at `Reading.end` otherwise.
"""

from tests.gateway.wire.corpus import chunks, fields, hosts, requestlines, smuggling
from tests.gateway.wire.corpus.cases import Hostile, Reading, Refused

__all__ = ["CASES", "Hostile", "Reading", "Refused"]

CASES: tuple[Hostile, ...] = (
    *requestlines.CASES,
    *hosts.CASES,
    *smuggling.CASES,
    *chunks.CASES,
    *fields.CASES,
)
