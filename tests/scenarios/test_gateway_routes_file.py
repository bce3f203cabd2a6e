"""A routes file is followed: a change is live within a second, what is bad in it harms nothing else."""

import time

from tests.gateway.process import Site, echo_once, until
from tests.upstreams import Upstream

HOST, NEW = "echo.pods.test", "new.pods.test"


def time_until_live(place: Site, host: str, upstream: str) -> float:
    """Add a host to the file, and lead the old one nowhere; give the seconds until a client gets there."""
    place.write({HOST: "127.0.0.1:9", host: upstream})
    began = time.monotonic()
    until(lambda: place.echoes(host))
    return time.monotonic() - began


def test_a_change_is_live_within_a_second_and_links_go_on(place: Site, echoing: Upstream) -> None:
    place.write({HOST: echoing.address})
    with place.running(workers=2):
        client = place.connect(HOST)
        echo_once(client)
        took = (time_until_live(place, f"new-{number}.pods.test", echoing.address) for number in range(10))
        assert any(seconds < 1.0 for seconds in took), "a machine may be busy, but not each time"
        echo_once(client, b"the link keeps the route it came by")
        client.close()


BAD = {
    'host = "bad..name"\nprotocol = "tcp"': "is not a host name",
    'host = "b1.pods.test"\nprotocol = "gopher"': "protocol: expected one of",
    'host = "b2.pods.test"\nprotocol = "tcp"\nupstreams = ["nowhere"]': "upstreams: 'nowhere'",
    'host = "b3.pods.test"\nprotocol = "tcp"\nacess = "public"': "acess: no such field",
    'host = "b4.pods.test"\nprotocol = "tcp"\nmessage = 2026-01-01': "message: expected a text",
    'host = "b5.pods.test"\nprotocol = "tcp"\nupstreams = [nan]': "upstreams: expected .* got nan",
    "host = 2026-01-01": "host: expected a text",
}


def test_bad_routes_are_refused_alone(place: Site, echoing: Upstream) -> None:
    tables = "".join(f"[[route]]\n{bad}\n" for bad in BAD)
    place.write({HOST: echoing.address}, tables)
    with place.running() as gateway:
        place.echoes(HOST)
        for reason in BAD.values():
            gateway.wait_for(f"route .* refused: .*{reason}")
        place.write({HOST: echoing.address, NEW: echoing.address}, tables)
        until(lambda: place.echoes(NEW))


UNREADABLE = [b"[[route]\n", b"route = 1\n", b"x = " + b"[" * 100_000, b"\xff", None]


def test_a_file_that_cannot_be_read_changes_nothing(place: Site, echoing: Upstream) -> None:
    place.write({HOST: echoing.address})
    with place.running() as gateway:
        for content in UNREADABLE:
            seen = len(gateway.lines)
            if content is None:
                place.routes.unlink()
            else:
                place.routes.write_bytes(content)
            gateway.wait_for("cannot be read: .* stay in force", seen)
            place.echoes(HOST)
        place.write({HOST: echoing.address, NEW: echoing.address})
        until(lambda: place.echoes(NEW))
