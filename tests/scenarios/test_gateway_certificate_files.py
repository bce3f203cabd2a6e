"""A certificate in files is replaced while connections come and go: new ones get the new one, and none fails."""

import threading
from concurrent.futures import ThreadPoolExecutor

import trustme

from tests.gateway.process import Site, echo_once
from tests.peers import leaf_of, tls_to, trusting
from tests.upstreams import Upstream

HOST = "echo.pods.test"


def serial(place: Site) -> object:
    client = place.connect(HOST)
    certificate = client.tls.getpeercert()
    echo_once(client)
    client.close()
    assert certificate
    return certificate["serialNumber"]


def test_a_new_certificate_is_taken_over_without_a_failure(place: Site, echoing: Upstream, ca: trustme.CA) -> None:
    place.write({HOST: echoing.address})
    done = threading.Event()

    def come_and_go() -> int:
        count = 0
        while not done.is_set():
            place.echoes(HOST)
            count += 1
        return count

    with place.running(workers=2) as gateway, ThreadPoolExecutor(2) as pool:
        client = place.connect(HOST)
        old = serial(place)
        traffic = [pool.submit(come_and_go) for _ in range(2)]
        try:
            new = leaf_of(ca, "*.pods.test")
            seen = len(gateway.lines)
            place.certificate.write_bytes(new.chain_pem)  # for a moment it does not fit the key
            gateway.wait_for("certificate: .* stays in use", seen)
            assert serial(place) == old
            place.key.write_bytes(new.key_pem)
            gateway.wait_for("certificate: a new one", seen)
            while serial(place) == old:
                pass  # until every worker has it
            echo_once(client, b"the link goes on")
        finally:
            done.set()
        assert all(count.result() > 0 for count in traffic)
        client.close()


def test_a_certificate_that_no_longer_covers_a_name_is_not_kept_for_it(
    place: Site, echoing: Upstream, ca: trustme.CA
) -> None:
    place.write({HOST: echoing.address})
    with place.running() as gateway:
        old = serial(place)
        new = leaf_of(ca, "elsewhere.test")
        place.key.write_bytes(new.key_pem)
        place.certificate.write_bytes(new.chain_pem)
        gateway.wait_for("certificate: a new one")
        context = trusting(ca, check=False)
        while True:
            client = tls_to(place.port, context, HOST)
            certificate = client.tls.getpeercert()
            client.close()
            if certificate and certificate["serialNumber"] != old:
                break
