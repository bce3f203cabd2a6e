"""Which core does what: the proxy has one for itself, load and upstream share the other."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


def proxy_core() -> int:
    """Give the core of the proxy under test."""
    return min(_ours)


def load_core() -> int:
    """Give the core of everything else; the same one where the machine has only one."""
    return max(_ours)


def pin_to_load_core() -> None:
    """Move this process, and so every load program it starts, off the proxy's core."""
    os.sched_setaffinity(0, {load_core()})


@contextmanager
def on_all_cores() -> Iterator[None]:
    """Lift that while the block runs, for programs that are measured as a whole."""
    os.sched_setaffinity(0, _ours)
    try:
        yield
    finally:
        pin_to_load_core()


def on_proxy_core(command: Sequence[str]) -> list[str]:
    """Give the command line that runs `command` on the proxy's core."""
    return ["taskset", "-c", str(proxy_core()), *command]


_ours = sorted(os.sched_getaffinity(0))[:2]
