import json
from html.parser import HTMLParser

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.httpreply import RETRY_AFTER, redirect, refusal

EVIL = '<script>alert("1")</script> & \r\nSet-Cookie: a=b'


def received(response: bytes, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """Read a response as a client would, to the end of its body and of the connection."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(response)
    client.receive_data(b"")
    head = client.next_event()
    assert isinstance(head, h11.Response)
    body = b""
    while isinstance(event := client.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert isinstance(client.next_event(), h11.ConnectionClosed)
    return head.status_code, {name.decode(): value.decode() for name, value in head.headers}, body


class Page(HTMLParser):
    """The tags of a page, their references to elsewhere, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.references: list[str | None] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.references += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_programs_get_a_problem_document() -> None:
    status, headers, body = received(refusal(404, "No such pod", "there is no pod here", "check the name", False))
    assert status == 404
    assert headers["content-type"] == "application/problem+json"
    assert headers["cache-control"] == "no-store"
    assert headers["connection"] == "close"
    assert "retry-after" not in headers
    assert json.loads(body) == {
        "type": "about:blank",
        "title": "No such pod",
        "status": 404,
        "detail": "there is no pod here",
        "hint": "check the name",
    }


def test_a_problem_without_a_hint_has_none() -> None:
    assert "hint" not in json.loads(received(refusal(404, "No such pod", "gone", "", False))[2])


def test_people_get_a_page_that_needs_nothing_else() -> None:
    status, headers, body = received(refusal(403, "Access refused", "level owner is asked for", "ask its owner", True))
    page = Page(body.decode())
    assert status == 403
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert page.references == []
    assert {"html", "title", "main", "h1"} <= page.tags
    assert "color-scheme:light dark" in page.text
    for text in ["Access refused", "Level owner is asked for.", "Ask its owner.", "403"]:
        assert text in page.text


@pytest.mark.parametrize("wants_html", [False, True])
def test_texts_stay_texts(wants_html: bool) -> None:
    status, headers, body = received(refusal(502, EVIL, EVIL, EVIL + "\udce9", wants_html))
    assert status == 502
    assert "set-cookie" not in headers
    if wants_html:
        assert "script" not in Page(body.decode()).tags
        assert Page(body.decode()).text.replace("\n", "").count('alert("1")') == 4
    else:
        assert json.loads(body)["title"] == EVIL


@pytest.mark.parametrize("wants_html", [False, True])
def test_who_meets_a_pod_that_starts_is_told_when_to_return(wants_html: bool) -> None:
    _status, headers, _body = received(refusal(503, "Starting", "soon", "", wants_html))
    assert headers["retry-after"] == str(RETRY_AFTER)


@pytest.mark.parametrize("wants_html", [False, True])
def test_head_gets_the_same_head_and_no_body(wants_html: bool) -> None:
    full = refusal(404, "No", "there is é", "", wants_html)
    bare = refusal(404, "No", "there is é", "", wants_html, head_only=True)
    _status, _headers, body = received(full)
    assert bare + body == full
    assert received(bare, "HEAD")[1] == received(full)[1]


def test_a_redirect_keeps_its_location() -> None:
    location = "https://a.example:8443/b%20c?d=[e]&f=g#h"
    status, headers, body = received(redirect(308, location))
    assert (status, headers["location"], headers["content-length"], body) == (308, location, "0", b"")


@pytest.mark.parametrize(
    ("location", "sent"),
    [("https://a/\r\nSet-Cookie: b=c", "https://a/%0D%0ASet-Cookie:%20b=c"), ("/é<\udce9>", "/%C3%A9%3C?%3E")],
)
def test_what_cannot_stand_in_a_location_is_encoded(location: str, sent: str) -> None:
    assert received(redirect(308, location))[1]["location"] == sent


@given(st.text(), st.text(), st.text(), st.booleans())
def test_any_texts_make_one_whole_response(title: str, detail: str, hint: str, wants_html: bool) -> None:
    assert received(refusal(500, title, detail, hint, wants_html))[0] == 500
    assert received(redirect(307, title))[0] == 307
