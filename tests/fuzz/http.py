"""Mutate the corpus for as long as one likes: `python -m tests.fuzz.http --seconds 600 [--seed 1]`.

What fails is printed with the bytes, which then belong into the corpus.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable

from tests.fuzz.invariants import check_request, check_response
from tests.fuzz.mutation import cuts_of, mutated
from tests.gateway.wire.corpus.responses import RESPONSES
from tests.gateway.wire.hostile import CASES
from tests.gateway.wire.prefixes import recorded

LARGEST = 3000  # bytes of a seed: longer ones are slow and find nothing that shorter ones do not

REQUESTS = (
    *(case.request for case in CASES if len(case.request) <= LARGEST),
    *(recorded(name) for name in ("chromium_http", "curl_http", "curl_post")),
)
ANSWERS = tuple(answer for answer, _method, _expected in RESPONSES if len(answer) <= LARGEST)
METHODS = ("GET", "GET", "HEAD", "POST")

PIECES = (
    *(bytes([byte]) for byte in b'\0\t\n\v\f\r\x1c !"#%,-/:;=?@[\\]_azAZ019\x7f\x80\x85\xa0\xff'),
    b"\r\n",
    b"\r\n\r\n",
    b"\r\n ",
    b"\r\n0\r\n\r\n",
    b"Content-Length: 3\r\n",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close, upgrade\r\n",
    b"Upgrade: websocket\r\n",
    b"Expect: 100-continue\r\n",
    b"Host: b\r\n",
    b"Host",
    b"HTTP/1.0",
    b"HTTP/1.1",
    b"http://web.pods.test",
    b"chunked",
    b"100-continue",
    b"3\r\nabc\r\n",
    b"0\r\nX: a\r\n\r\n",
    b"ffffffffffffffff",
    b"9223372036854775807",
)


def run(chance: random.Random, goes_on: Callable[[], bool]) -> int:
    """Check one mutation after the other while it goes on; give their number. Raises what a check raises."""
    count = 0
    while goes_on():
        request, answer = mutated(chance, REQUESTS, PIECES), mutated(chance, ANSWERS, PIECES)
        try:
            check_request(request, cuts_of(chance, request))
            check_response(answer, cuts_of(chance, answer), chance.choice(METHODS))
        except BaseException:
            sys.stderr.write(f"after {count} mutations:\nrequest {request!r}\nanswer {answer!r}\n")
            raise
        count += 2
    return count


def main() -> None:
    """Run for the seconds asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    end = time.monotonic() + given.seconds
    count = run(random.Random(given.seed), lambda: time.monotonic() < end)
    sys.stdout.write(f"{count} mutations in {given.seconds:.0f} s, seed {given.seed}: nothing found\n")


if __name__ == "__main__":
    main()
