"""All peers by name, in the order tables and pictures show them."""

from bench.peers.caddy import CADDY
from bench.peers.envoy import ENVOY
from bench.peers.haproxy import HAPROXY
from bench.peers.hitch import HITCH
from bench.peers.nginx import NGINX
from bench.peers.peer import Peer
from bench.peers.pgbouncer import PGBOUNCER
from bench.peers.podgate import PODGATE, PODGATE_2, PODGATE_DIRECT, PODGATE_DROP, PODGATE_TOKEN
from bench.peers.traefik import TRAEFIK

DIRECT = "direct"  # no proxy and no TLS: the client on the upstream itself

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        PODGATE,
        PODGATE_DIRECT,
        PODGATE_TOKEN,
        PODGATE_DROP,
        PODGATE_2,
        HAPROXY,
        NGINX,
        HITCH,
        ENVOY,
        TRAEFIK,
        CADDY,
        PGBOUNCER,
    )
}
LABELS = {name: peer.label for name, peer in PEERS.items()} | {DIRECT: "direct"}
ORDER = tuple(LABELS)
