"""How inputs are made of what is known to be good, or known to be bad."""

import random
from collections.abc import Sequence


def mutated(chance: random.Random, seeds: Sequence[bytes], pieces: Sequence[bytes]) -> bytes:
    """Make another one of a seed by a few cuts, insertions of pieces, repetitions and exchanges with other seeds."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 1, 2, 3, 5))):
        at = chance.randint(0, len(data))
        end = min(len(data), at + chance.choice((0, 1, 1, 2, 4, 16, 200)))
        match chance.randrange(6):
            case 0:
                data[at:end] = b""
            case 1 | 2:
                data[at:at] = chance.choice(pieces)
            case 3:
                data[at:end] = chance.choice(pieces)
            case 4:
                data[at:at] = data[at:end]
            case _:
                other = chance.choice(seeds)
                begin = chance.randint(0, len(other))
                data[at:end] = other[begin : begin + 60]
    return bytes(data)


def cuts_of(chance: random.Random, data: bytes) -> list[int]:
    """Choose places to cut `data` at."""
    return [chance.randint(0, len(data)) for _ in range(6)]
