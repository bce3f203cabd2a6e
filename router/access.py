"""Access levels and admission: the one place where it is decided who may connect.

`decide` is total: whatever it is given, it answers, and what it does not know is refused.
"""

from enum import Enum, IntEnum


class AccessLevel(IntEnum):
    """The least level a caller must hold on a pod to use an endpoint; `PUBLIC` asks for no identity at all."""

    PUBLIC = 0
    READ = 1
    WRITE = 2
    MANAGE = 3
    OWNER = 4

    @classmethod
    def parse(cls, text: object) -> "AccessLevel":
        """Read a level by its lower-case name. Raises ValueError naming the levels there are."""
        level = _BY_NAME.get(text) if isinstance(text, str) else None
        if level is None:
            raise ValueError(f"access: expected one of {', '.join(_BY_NAME)}, got {text!r}")
        return level

    def __str__(self) -> str:
        return self.name.lower()


_BY_NAME = {level.name.lower(): level for level in AccessLevel}


class Decision(Enum):
    """The answer of admission."""

    ALLOWED = "allowed"
    UNIDENTIFIED = "unidentified"  # nobody knows who is calling: say who you are
    INSUFFICIENT = "insufficient"  # we know who is calling, and their level is too low


def decide(required: object, held: object) -> Decision:
    """May a caller who holds level `held` on the pod (None: not identified) use an endpoint that asks for `required`?

    Only real `AccessLevel` values open anything; an unknown requirement is refused even to an owner.
    """
    if required is AccessLevel.PUBLIC:
        return Decision.ALLOWED
    if held is None or held is AccessLevel.PUBLIC:
        return Decision.UNIDENTIFIED
    if isinstance(required, AccessLevel) and isinstance(held, AccessLevel) and held >= required:
        return Decision.ALLOWED
    return Decision.INSUFFICIENT
