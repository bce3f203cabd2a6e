"""What must hold of the Postgres parsers and of SCRAM for any bytes whatsoever. Each check tells what became of its
input, as a word or two to count by.
"""

import base64
import re
from collections.abc import Callable, Sequence
from typing import Any

from gateway.postgres.scram import PLAIN, Denied, ScramClient, ScramServer
from gateway.wire.pgmessage import (
    LARGEST_SASL,
    CancelKey,
    backend_key,
    cancel_request,
    message,
    negotiated_minor,
    offer,
    parse_authentication,
    parse_error,
    parse_key,
    parse_message,
    parse_offer,
    parse_password,
    parse_sasl_initial,
    password_message,
    sasl_initial,
)
from gateway.wire.pgnaming import name_the_pod
from gateway.wire.postgres import LARGEST_STARTUP, CancelRequest, Startup, parse_startup, startup_message
from gateway.wire.verdict import Malformed, More
from tests.fuzz.invariants import read_checked
from tests.gateway.postgres.logins import ITERATIONS, NONCE, SALT, TOKEN, verifier
from tests.gateway.wire.openings import Opening

LARGEST = 2_000  # bytes of a message
_SETTING, _SPACE = "podgate.pod", " \t\n\v\f\r"
SURPLUS = b"\xff\0p\0\0\0\4"
TOKENS = [(token, verifier(token)) for token in ("other", TOKEN, "third")]

# Each reader of a body, and what makes the same body of what it read, where there is such a thing.
_BODIES: tuple[tuple[str, Callable[[bytes], Any], Callable[[Any], bytes] | None], ...] = (
    ("offer", parse_offer, lambda names: offer(names)[4:]),  # without the four bytes of the kind of authentication
    ("sasl initial", parse_sasl_initial, lambda initial: sasl_initial(initial.mechanism, initial.data)),
    ("password", parse_password, password_message),
    ("error", parse_error, None),
    ("version", negotiated_minor, None),
    ("key", parse_key, backend_key),
    ("authentication", parse_authentication, lambda asked: message(b"R", asked[0].to_bytes(4, "big") + asked[1])),
)


def check_startup(data: bytes, cuts: Sequence[int]) -> str:
    """Check everything about `data` as the first packet inside TLS."""
    found: Startup | CancelRequest | str = read_checked(parse_startup, data, LARGEST_STARTUP, cuts)
    if isinstance(found, str):
        return f"startup: {found}"
    packet = data[: found.size]
    assert parse_startup(packet) == parse_startup(data + SURPLUS) == found
    assert isinstance(parse_startup(packet[:-1]), More)
    if isinstance(found, CancelRequest):
        assert cancel_request(CancelKey(found.process_id, found.secret)) == packet
        return "startup: cancel request"
    assert startup_message(found.version, found.parameters) == packet
    return check_naming(found)


def check_naming(startup: Startup) -> str:
    """What names a pod names it once, and goes; what does not stays."""
    try:
        named = name_the_pod(startup)
    except Malformed:
        return "naming: malformed"
    if not named.pod:
        assert named.parameters == startup.parameters
        return "naming: no pod"
    before, after = startup.parameters.get("options", ""), named.parameters.get("options", "")
    user, left = startup.parameters.get("user", ""), named.parameters.get("user", "")
    assert (user == left) is not (before == after), "named by the one or by the other"
    assert user in (left, f"{left}@{named.pod}")
    assert before == after or _words(after) in _cuts(_words(before), named.pod)
    assert name_the_pod(Startup(startup.version, {"options": after}, 0)).pod == ""
    assert len(startup_message(startup.version, named.parameters)) < startup.size
    return "naming: a pod"


def _words(options: str) -> list[str]:
    """Split options as PostgreSQL's `pg_split_opts` does, letter by letter."""
    words: list[str] = []
    inside = escaped = False
    for letter in options:
        if not inside and letter not in _SPACE:
            words.append("")
            inside = True
        if not inside:
            continue
        if letter in _SPACE and not escaped:
            inside = False
        elif letter == "\\" and not escaped:
            escaped = True
        else:
            words[-1] += letter
            escaped = False
    return words


def _cuts(words: list[str], pod: str) -> list[list[str]]:
    """Give all that can be left of words when the ones that name a pod are cut out."""
    names = ([f"-c{_SETTING}={pod}"], [f"--{_SETTING}={pod}"], [f"endpoint={pod}"], ["-c", f"{_SETTING}={pod}"])
    places = [(at, at + size) for at in range(len(words)) for size in (1, 2)]
    return [words[:at] + words[end:] for at, end in places if [_lower(word) for word in words[at:end]] in names]


def _lower(word: str) -> str:
    """Give a word with the name of our setting as it is mostly written."""
    return re.sub(rf"(?i)(?<![^-c]){re.escape(_SETTING)}=", f"{_SETTING}=", word, count=1)


def check_message(data: bytes, cuts: Sequence[int]) -> str:
    """Check everything about `data` as a message of either side, and about its body as any body."""
    found = read_checked(lambda seen: parse_message(seen, LARGEST), data, LARGEST, cuts)
    if isinstance(found, str):
        return f"message: {found}"
    packet = data[: found.size]
    assert parse_message(packet, LARGEST) == parse_message(data + SURPLUS, LARGEST) == found
    assert isinstance(parse_message(packet[:-1], LARGEST), More)
    assert message(found.kind, found.body) == packet
    read = [name for name, parse, make in _BODIES if _is_read(parse, make, found.body)]
    return f"message: {' or '.join(read) or 'no body'}"


def _is_read(parse: Callable[[bytes], Any], make: Callable[[Any], bytes] | None, body: bytes) -> bool:
    """Tell whether a body can be read; if so, it can be made again, but for data that is not there: it is empty."""
    try:
        found = parse(body)
    except Malformed:
        return False
    assert make is None or make(found)[5:] == body or (parse is parse_sasl_initial and body.endswith(b"\xff" * 4))
    return True


def check_login(known: Opening, first: bytes, final: bytes, mechanism: str) -> str:
    """Nobody is let in but by what the client that knew the token has sent."""
    binding = known.binding if mechanism != PLAIN or b"p=" in first[:2] else None
    server = ScramServer(TOKENS, SALT, ITERATIONS, binding, NONCE)
    try:
        answer = server.first(mechanism, first)
    except Denied:
        _check_is_over(server, final)
        return "login: denied at first"
    assert len(first) <= LARGEST_SASL
    assert answer.endswith(NONCE.encode() + b",s=" + base64.b64encode(SALT) + b",i=%d" % ITERATIONS)
    try:
        token, _last = server.final(final)
    except Denied:
        _check_is_over(server, final)
        return "login: denied at last"
    initial, proof = parse_sasl_initial(known.inside[1][5:]), known.inside[2][5:]
    assert (token, first) == (TOKEN, initial.data)
    assert final[:-2] == proof[:-2]  # the last letter has two bits that count for nothing
    _check_is_over(server, final)
    return "login: let in"


def _check_is_over(server: ScramServer, final: bytes) -> None:
    try:
        server.final(final)
    except Denied:
        return
    raise AssertionError("let in after it was over")


def check_our_login(first: bytes, last: bytes) -> str:
    """No server is believed that does not know the password."""
    client = ScramClient(TOKEN, [PLAIN], None, "mine")
    client.first()
    try:
        client.final(first)
    except Denied:
        return "our login: denied at first"
    try:
        client.verify(last)
    except Denied:
        assert not client.done
        return "our login: denied at last"
    raise AssertionError("believed a server that knows nothing")
