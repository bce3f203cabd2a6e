"""What is asked of a benchmark, as JSON carries it beside its results."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class Documented:
    """A dataclass of numbers, texts and tuples of these."""

    __slots__ = ()

    def to_document(self: "DataclassInstance") -> dict[str, Any]:
        """Give it as JSON carries it."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read what `to_document` gave."""
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in document.items()})
