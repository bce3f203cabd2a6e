"""How real Postgres clients open a connection, as `python -m tests.fuzz.record_postgres` wrote it down.

`before` TLS are the requests for it and the ClientHello, `inside` the startup message and the two messages of SCRAM.
They answer a server that is always the same (`tests.gateway.postgres.logins`) but for its certificate, whose hash is
the `binding`: what was proved then can be proved again.
"""

from dataclasses import dataclass
from pathlib import Path

_PLACE = Path(__file__).parent / "recorded" / "postgres"
_WIDTH = 100  # letters of a line


@dataclass(frozen=True, slots=True)
class Opening:
    """What one client sent, packet by packet."""

    client: str  # its name, its version, and what it was told
    binding: bytes
    before: tuple[bytes, ...]
    inside: tuple[bytes, ...]


OPENINGS = tuple(sorted(path.stem for path in _PLACE.glob("*.hex")))


def opening(name: str) -> Opening:
    """Read a recorded opening."""
    client, *lines = (_PLACE / f"{name}.hex").read_text().splitlines()
    packets: list[tuple[str, list[str]]] = []
    for line in lines:
        if line.endswith(":"):
            packets.append((line[:-1], []))
        else:
            packets[-1][1].append(line)
    read = [(place, bytes.fromhex("".join(parts))) for place, parts in packets]
    (binding,) = (data for place, data in read if place == "binding")
    before, inside = (tuple(data for at, data in read if at == place) for place in ("before", "inside"))
    return Opening(client.removeprefix("# "), binding, before, inside)


def write(name: str, recorded: Opening) -> None:
    """Keep an opening."""
    lines = [f"# {recorded.client}"]
    packets = [("binding", recorded.binding)]
    packets += [("before", data) for data in recorded.before] + [("inside", data) for data in recorded.inside]
    for place, data in packets:
        text = data.hex()
        lines += [f"{place}:", *(text[at : at + _WIDTH] for at in range(0, len(text), _WIDTH))]
    _PLACE.mkdir(exist_ok=True)
    (_PLACE / f"{name}.hex").write_text("\n".join(lines) + "\n")
