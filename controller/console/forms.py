"""Forms: reading them within bounds, and telling our own from those of other sites.

Every POST must carry a token that only a page of ours could hold, and the browser must say that the form was ours. The
token is a hash of a cookie that scripts cannot read and other hosts cannot set (`__Host-`): the session's when somebody
is signed in, else one made for this browser. Signing in makes a new session, and so a new token.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from contextlib import aclosing
from urllib.parse import parse_qsl

import trio
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request

LONGEST_BODY = 64 * 1024  # bytes
MOST_FIELDS = 64
READ_LIMIT = 10.0  # seconds in which a form has to arrive
TOKEN_FIELD = "form"  # noqa: S105  # the name of a field
_KIND = "application/x-www-form-urlencoded"

Form = Mapping[str, str]


class RefusedForm(Exception):
    """A form that is not taken: the status of the answer, and a text for people."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def form_token(secret: str) -> str:
    """Give the token for forms of the browser whose cookie is `secret`."""
    digest = hashlib.sha256(b"podgate form\n" + secret.encode(errors="replace")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def check_sender(headers: Headers, origin: str) -> None:
    """See that the browser says the request is from a page of `origin`. Raises RefusedForm.

    Under our Referrer-Policy browsers send `Origin: null` beside Sec-Fetch-Site (fetch.spec.whatwg.org).
    """
    site, sender = headers.getlist("sec-fetch-site"), headers.getlist("origin")
    if site == ["same-origin"] and (not sender or sender in (["null"], [origin])):
        return
    if not site and sender == [origin]:
        return
    raise RefusedForm(403, "This form was not sent from a page of this site.")


def check_token(form: Form, secret: str) -> None:
    """See that a form holds the token of this browser. Raises RefusedForm."""
    given = form.get(TOKEN_FIELD, "").encode(errors="replace")
    if not secret or not hmac.compare_digest(form_token(secret).encode(), given):
        raise RefusedForm(403, "This form is too old, or was opened in another browser. Open the page again.")


async def read_form(request: Request) -> Form:
    """Read the fields of a form. Raises RefusedForm."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _KIND:
        raise RefusedForm(415, "This is not a form.")
    body = await _read_body(request)
    try:
        text = body.decode("ascii")  # everything else is percent-encoded
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError:
        raise RefusedForm(400, "This form cannot be read.") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise RefusedForm(400, "This form has a field twice.")
    return form


async def _read_body(request: Request) -> bytes:
    """Read all of it, also what is too much: who is cut off while sending might not read the answer."""
    body, length, ended = bytearray(), 0, False
    with trio.move_on_after(READ_LIMIT):
        try:
            async with aclosing(request.stream()) as pieces:
                async for piece in pieces:
                    length += len(piece)
                    body += piece if length <= LONGEST_BODY else b""
        except ClientDisconnect:
            raise RefusedForm(400, "This form did not arrive.") from None
        ended = True
    if length > LONGEST_BODY:
        raise RefusedForm(413, "This form is too large.")
    if not ended:
        raise RefusedForm(408, "This form did not arrive in time.")
    return bytes(body)
