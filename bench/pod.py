"""`podgate bench pod NAME`: what an endpoint of your own costs its clients, and how much of that is the gateway."""

import json
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from bench import endpoint
from bench.endpoint import Door, Talk
from bench.samples import median, percentile
from podgate.cli.client import LOCAL_ADDRESS, Client, Target, is_local
from podgate.cli.failure import Failure
from podgate.cli.output import Json, answer, answer_json, answer_table, talk
from podgate.cli.pods import find
from router.access import AccessLevel
from router.model import Address
from router.routedocument import parse_address

OPENINGS = 30  # new connections of each kind
MILLISECONDS = 1e3
LAST_GOOD = Path("gateway") / "last-good.json"  # the gateway's table, in its home


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured, each a list of milliseconds; empty where it could not be."""

    tcp: list[float] = field(default_factory=list)
    tls: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)  # from nothing to the first answer
    round_trip: list[float] = field(default_factory=list)
    first_straight: list[float] = field(default_factory=list)
    round_trip_straight: list[float] = field(default_factory=list)


def ask_pod(
    name: Annotated[str, typer.Argument(help="The pod's name.")],
    seconds: Annotated[float, typer.Option(min=0.1, help="For the round trips, through and straight each.")] = 8.0,
    as_json: Json = False,
) -> None:
    """Measure your own pod: handshake, first answer, round trips, and the gateway's share of them."""
    target = Target.from_environment()
    pod = find(Client(target), name)
    if pod["phase"] != "available":
        raise Failure(f"{name} is {pod['phase']}; start it: podgate pod start {name} --wait")
    if pod["access"] != str(AccessLevel.PUBLIC):
        raise Failure(f"{name} is closed (access {pod['access']}), and there is no signing in yet: nobody gets in")
    found, remarks = _measure(target, pod, seconds)
    if as_json:
        answer_json({"pod": name, "unit": "ms", **{row[0]: row[1] for row in _rows(found)}, "remarks": remarks})
    else:
        _tell(name, found, remarks)


def _measure(target: Target, pod: dict[str, Any], seconds: float) -> tuple[Found, list[str]]:
    chosen = next((one for one in pod["endpoints"] if not one["name"]), pod["endpoints"][0])
    host, port = str(chosen["host"]), int(chosen["port"])
    try:
        context = ssl.create_default_context(cafile=str(target.ca))
    except OSError as error:
        raise Failure(f"cannot read the authority {target.ca}: {error.strerror}; set PODGATE_CA to it") from None
    door = Door(host, LOCAL_ADDRESS if is_local(host) else host, port, context)
    found, remarks = Found(), []
    try:
        for _ in range(OPENINGS):
            tcp, tls = endpoint.handshake(door)
            found.tcp.append(tcp * MILLISECONDS)
            found.tls.append(tls * MILLISECONDS)
        upstream = _upstream(target.home, host)
        through, straight = _talks(door, pod, str(chosen["protocol"]), target.ca, upstream)
        if through is None:
            remarks.append(f"what to ask a {chosen['protocol']} endpoint is not known here: only its handshake counts")
            return found, remarks
        talk(f"asking {host} through the gateway …")
        _converse(through, seconds, found.first, found.round_trip)
        if straight is None:
            remarks.append("the pod's own address is not reachable from here, so the gateway's share is not known")
            return found, remarks
        talk("asking the pod itself …")
        _converse(straight, seconds, found.first_straight, found.round_trip_straight)
    except OSError as error:
        raise Failure(f"{host} did not answer as it should: {error}; see: podgate pod logs {pod['name']}") from None
    return found, remarks


def _talks(
    door: Door, pod: dict[str, Any], protocol: str, ca: Path, upstream: Address | None
) -> tuple[Callable[[], Talk] | None, Callable[[], Talk] | None]:
    """Give how to talk through the gateway and straight, as far as either can be."""
    if protocol == "http":
        straight = (lambda: endpoint.http_straight(door, upstream)) if upstream else None
        return lambda: endpoint.http_through(door), straight
    if protocol == "postgres":
        level = next(iter(pod["credentials"]))
        uri, password = str(pod["uris"][level]), str(pod["credentials"][level]["password"])
        straight = (lambda: endpoint.postgres_straight(uri, password, upstream)) if upstream else None
        return lambda: endpoint.postgres_through(door, uri, password, ca), straight
    return None, None


def _converse(start: Callable[[], Talk], seconds: float, first: list[float], round_trip: list[float]) -> None:
    """Take the time to a first answer on new connections, then of round trips on one."""
    for _ in range(OPENINGS):
        began = time.perf_counter()
        opened = start()
        opened.ask()
        first.append((time.perf_counter() - began) * MILLISECONDS)
        opened.close()
    opened = start()
    opened.ask()
    ends = time.perf_counter() + seconds
    while (began := time.perf_counter()) < ends:
        opened.ask()
        round_trip.append((time.perf_counter() - began) * MILLISECONDS)
    opened.close()


def _upstream(home: Path, host: str) -> Address | None:
    """Look the pod's own address up in the gateway's table, where we may read it."""
    try:
        document = json.loads((home / LAST_GOOD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    for route in document.get("routes", []):
        if route["host"] == host and route["upstreams"]:
            return parse_address(route["upstreams"][0])
    return None


def _rows(found: Found) -> list[tuple[str, dict[str, float]]]:
    named = {
        "tcp connect": found.tcp,
        "tls handshake": found.tls,
        "first answer": found.first,
        "first answer, straight": found.first_straight,
        "round trip": found.round_trip,
        "round trip, straight": found.round_trip_straight,
    }
    return [
        (name, {"p50": round(median(values), 4), "p99": round(percentile(values, 0.99), 4), "samples": len(values)})
        for name, values in named.items()
        if values
    ]


def _tell(name: str, found: Found, remarks: list[str]) -> None:
    rows = [(what, f"{said['p50']:.3f}", f"{said['p99']:.3f}", f"{said['samples']:,}") for what, said in _rows(found)]
    answer_table(("milliseconds", "p50", "p99", "samples"), rows)
    if found.round_trip_straight:
        through, straight = median(found.round_trip), median(found.round_trip_straight)
        opening = median(found.first) - median(found.first_straight)
        answer(
            f"\nThe gateway adds {through - straight:.3f} ms to a round trip of {straight:.3f} ms, "
            f"and {opening:.2f} ms to the first answer on a new connection to {name}."
        )
    for remark in remarks:
        answer(f"\n{remark[0].upper()}{remark[1:]}.")
