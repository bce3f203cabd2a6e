"""A TCP balancer, in a process of its own: each connection goes to the next of its ports, in turn.

Its own process, since psycopg keeps Python waiting while it sends a cancel request. To be run: balancer.py PORT PORT.
It prints the port it listens on, and ends with its standard input.
"""

import itertools
import socket
import sys
import threading
from contextlib import suppress


def balance(listener: socket.socket, ports: list[int]) -> None:
    for port in itertools.cycle(ports):
        client, _ = listener.accept()
        gateway = socket.create_connection(("127.0.0.1", port))
        for pair in ((client, gateway), (gateway, client)):
            threading.Thread(target=move, args=pair, daemon=True).start()


def move(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65_536):
            other.sendall(data)
    with suppress(OSError):
        other.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    served = socket.create_server(("127.0.0.1", 0))
    print(served.getsockname()[1], flush=True)  # noqa: T201
    threading.Thread(target=balance, args=(served, [int(port) for port in sys.argv[1:]]), daemon=True).start()
    sys.stdin.read()
