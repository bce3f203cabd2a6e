"""The hostile corpus through a whole gateway: what is refused reaches no pod, what is let in is one request there."""

from collections.abc import Iterator

import pytest
import trustme

from certs.leaf import Leaf
from gateway.options import Options
from tests.gateway.pods import Pod
from tests.gateway.running import Running, running
from tests.gateway.wire.hostile import CASES, Hostile, Refused
from tests.peers import TlsPeer, tls_to, trusting
from tests.upstreams import upstream

HOST = "web.pods.test"


@pytest.fixture(scope="module")
def gateway(leaf: Leaf) -> Iterator[Running]:
    with running([leaf], Options(public_port=8443, opening_budget=2.0, drain=0)) as gateway:
        yield gateway


def said(client: TlsPeer, data: bytes) -> bytes:
    """Send it, say goodbye, and give the answer."""
    client.send(data)
    answer, _ending = client.receive_to_end()
    return answer


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_what_is_refused_reaches_no_pod_and_what_is_let_in_is_one_request(
    gateway: Running, ca: trustme.CA, case: Hostile
) -> None:
    pod = Pod(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    with upstream(pod) as server:
        gateway.route(HOST, "http", server.address)
        client = tls_to(gateway.port, trusting(ca), HOST)
        answer = said(client, case.request)
        client.close()
    code = int(answer.split(b" ", 2)[1])
    if isinstance(case.expected, Refused) or case.expected.host != HOST:
        assert 400 <= code < 500, answer[:100]
        assert bytes(pod.received) == b""
    else:
        assert code == 200, answer[:300]
        assert len(pod.requests) == 1
        assert b"/admin" not in pod.requests[0][1]
