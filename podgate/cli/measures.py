"""Durations, sizes, times and networks, as people write them on a command line; a wrong one is wrong usage."""

import ipaddress
import re
from datetime import UTC, datetime, timedelta

import typer

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_BYTES = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}


def duration(text: str) -> int:
    """Read a duration such as `30d`, `12h`, `90m` or `45s`; give seconds."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", text.strip())
    if found is None or not int(found[1]):
        bare = f"; did you mean {text.strip()}s?" if re.fullmatch(r"[1-9][0-9]{0,8}", text.strip()) else ""
        raise typer.BadParameter(f"expected a number with its unit, such as 30d, 12h, 90m or 45s, got {text!r}{bare}")
    return int(found[1]) * _SECONDS[found[2]]


def size(text: str) -> int:
    """Read a size such as `10MiB`, `512K` or, in bytes, `4096`; `none` is 0: no limit."""
    if text.strip().lower() == "none":
        return 0
    found = re.fullmatch(r"([0-9]{1,15})(?:([kmg])(?:ib)?)?", text.strip().lower())
    if found is None or not int(found[1]):
        raise typer.BadParameter(f"expected a size such as 512KiB, 10MiB or 1GiB, or none, got {text!r}")
    return int(found[1]) * _BYTES[found[2] or ""]


def moment(text: str) -> str:
    """Read a moment, as the time since it (`1h`) or as a date and time; give it as RFC 3339 does, in UTC."""
    try:
        if re.match(r"[0-9]{4}-", text.strip()):
            found = datetime.fromisoformat(text.strip()).astimezone(UTC)  # without a zone: this machine's own
        else:
            found = datetime.now(UTC) - timedelta(seconds=duration(text))
        return found.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, typer.BadParameter):
        raise typer.BadParameter(
            f"expected a duration such as 1h, or a time such as 2026-11-21T09:00, got {text!r}"
        ) from None


def network(text: str) -> str:
    """Read an address or a network such as `203.0.113.0/24` or `2001:db8::/32`; give its usual form."""
    try:
        return str(ipaddress.ip_network(text.strip()))
    except ValueError as error:
        try:
            meant = f"; did you mean {ipaddress.ip_network(text.strip(), strict=False)}?"
        except ValueError:
            meant = ""
        reason = "bits of the host are set" if meant else str(error)
        raise typer.BadParameter(f"{text!r} is no network: {reason}{meant}") from None
