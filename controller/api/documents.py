"""What the documents of the API have in common; they are in `poddocuments`, `peopledocuments` and `gatewaydocuments`.

What callers send is checked and bounded there; what they get is plain.
"""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints


def check_shown(text: str) -> str:
    """Give a text that is stored and shown as it is: no NUL, which PostgreSQL takes nowhere, nor anything that moves a
    cursor. Raises ValueError.
    """
    if not text.isprintable():
        raise ValueError("expected nothing but letters that can be shown")
    return text


ShortText = Annotated[str, StringConstraints(max_length=128)]
ShownText = Annotated[ShortText, AfterValidator(check_shown)]
ReplicaName = Annotated[ShownText, StringConstraints(min_length=1)]


class Document(BaseModel):
    """A document whose fields are all known: one we do not know might be a restriction."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class ProblemField(BaseModel):
    """A field at fault."""

    field: str
    reason: str


class ProblemDocument(BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[ProblemField] | None = None


def timestamp(seconds: float) -> str:
    """Write a time as RFC 3339 does, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
