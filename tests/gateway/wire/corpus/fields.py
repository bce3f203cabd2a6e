"""Field lines: header injection, options of Connection, upgrades, expectations, sizes."""

from tests.gateway.wire.corpus.cases import HOST, SMUGGLED, chunked, head, post, read, refused

_NAME = "illegal header line, expected a name and a colon"
_VALUE = "illegal header line, with a control character"
_FOLD = "a line begins with white space"
_HALF = "bare cr or lf"
_DROPPED = "connection names a field of framing, routing or identity"
_UPGRADE = ("Connection: Upgrade", "Upgrade: websocket")

_LINES = {
    "no colon": ("X", _NAME),
    "no name": (": a", _NAME),
    "only a colon": (":", _NAME),
    "space before the colon": ("X : a", _NAME),
    "space inside the name": ("X Y: a", _NAME),
    "name beyond ascii": ("X\xe9: a", _NAME),
    "name with nul": ("X\0Y: a", _NAME),
    "name in quotes": ('"X": a', _NAME),
    "name with brackets": ("X[0]: a", _NAME),
    "name with a comma": ("X,Y: a", _NAME),
    "name with an at sign": ("X@Y: a", _NAME),
    "name with escape": ("\x1bX: a", _NAME),
    "http/2 name": (":authority: evil.example", _NAME),
    "request line in between": ("GET /admin HTTP/1.1", _NAME),
    "value with nul": ("X: a\0b", _VALUE),
    "value with backspace": ("X: a\x08", _VALUE),
    "value with vertical tab": ("X: a\x0bb", _VALUE),
    "value with escape": ("X: \x1b[2J", _VALUE),
    "value with delete": ("X: \x7f", _VALUE),
    "value with bell": ("X: \x07", _VALUE),
    "bare lf": ("X: a\nX-Podgate-User: root", _HALF),
    "bare cr": ("X: a\rX-Podgate-User: root", _HALF),
    "bare cr, empty line": ("X: a\r\rGET /admin HTTP/1.1", _HALF),
    "bare lfs, empty line": ("X: a\n\nGET /admin HTTP/1.1", _HALF),
    "lf cr": ("X: a\n\rY: b", _HALF),
    "cr cr lf": ("X: a\r", _HALF),
    "folded with a space": ("X: a\r\n b", _FOLD),
    "folded with a tab": ("X: a\r\n\tb", _FOLD),
    "folded, empty": ("X: a\r\n ", _FOLD),
    "cookie folded": ("Cookie: a=b\r\n\tX-Podgate-User: root", _FOLD),
}
_NAMED = (
    "host Host content-length Transfer-Encoding transfer_encoding cookie COOKIE authorization expect forwarded"
    " x-forwarded-for X-Forwarded-Host x-forwarded-proto x_forwarded_for x-forwarded X-Podgate-User x-podgate"
    " x_podgate_user x-podgate_user x-real-ip"
).split()
_OPTIONS = {
    "no token": "a b",
    "quoted": '"close"',
    "with a parameter": "close;a=b",
    "with a slash": "close/1",
    "latin-1": "clos\xe9",
}
_EXPECTATIONS = {
    "other": ("Expect: 200-ok",),
    "empty": ("Expect:",),
    "obfuscated": ("Expect: y 100-continue",),
    "list": ("Expect: 100-continue, 100-continue",),
    "with a parameter": ("Expect: 100-continue;a",),
    "underscore": ("Expect: 100_continue",),
}
_BIG = "X: " + "a" * (32 * 1024)

CASES = (
    *(refused(f"field: {name}", head(line), text) for name, (line, text) in _LINES.items()),
    *(
        refused(f"field first: {name}", head(line, f"Host: {HOST}", host=None), text)
        for name, (line, text) in list(_LINES.items())[:8]
    ),
    *(refused(f"connection: {name}", head(f"Connection: close, {name}"), _DROPPED) for name in _NAMED),
    *(
        refused(f"connection: {name}", head(f"Connection: {value}"), "a connection option is no token")
        for name, value in _OPTIONS.items()
    ),
    refused("connection: in a second line", head("Connection: close", "connection: host"), _DROPPED),
    read("connection: empty members", head("Connection: ,, close ,"), rest=SMUGGLED),
    read("connection: a field of the client's own", head("Connection: x-mine", "X-Mine: a")),
    read("connection: connection", head("Connection: connection, keep-alive, te, trailer")),
    read("connection: proxy-connection is nothing", head("Proxy-Connection: keep-alive", line="GET / HTTP/1.0")),
    *(
        refused(f"expect: {name}", post(*lines, "Content-Length: 1") + b"a", "unknown expectation")
        for name, lines in _EXPECTATIONS.items()
    ),
    refused("expect: twice", post("Expect: 100-continue", "Expect: 100-continue"), "expect given more than once"),
    read("expect: without a body", head("Expect: 100-continue"), rest=SMUGGLED),
    read("expect: with a body", post("Expect: 100-Continue", "Content-Length: 1"), body=b"a", length=1),
    read("expect: of http/1.0", head("Expect: 100-continue", line="GET / HTTP/1.0")),
    read("upgrade: websocket", head(*_UPGRADE), rest=SMUGGLED),
    read("upgrade: not in connection", head("Upgrade: websocket"), rest=SMUGGLED),
    read("upgrade: nothing to upgrade to", head("Connection: upgrade")),
    read("upgrade: h2c", head("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")),
    read("upgrade: h2c beside websocket", head("Connection: Upgrade", "Upgrade: websocket, H2C")),
    read("upgrade: to another http", head("Connection: Upgrade", "Upgrade: HTTP/2.0")),
    read("upgrade: of http/1.0", head(*_UPGRADE, line="GET / HTTP/1.0")),
    read("upgrade: with an empty body", head(*_UPGRADE, "Content-Length: 0"), rest=b"\x81\x00"),
    refused("upgrade: with a body", head(*_UPGRADE, "Content-Length: 5") + b"hello", "an upgrade with a body"),
    refused("upgrade: chunked", head(*_UPGRADE, "Transfer-Encoding: chunked"), "an upgrade with a body"),
    refused("upgrade: post with h2c and a body", chunked("Connection: Upgrade", "Upgrade: h2c"), "an upgrade with a"),
    read("field: forged identity is for the engine to drop", head("X-Podgate-User: root", "X_Podgate_User: root")),
    read("field: dot in the name", head("X.Podgate.User: root")),
    read("field: all signs in the name", head("!#$%&'*+-.^_`|~: a")),
    read("field: empty value", head("X:", "Y: \t")),
    read("field: value beyond ascii", head("X: \x80\xff\xc3\xa9")),
    read("field: colons", head("X::a: b:")),
    read("field: proxy of httpoxy", head("Proxy: http://evil.example/")),
    read("field: method override", head("X-HTTP-Method-Override: CONNECT", "X-Original-URL: /admin")),
    read("size: 128 fields", head(*(f"X{n}: y" for n in range(127)))),
    refused("size: 129 fields", head(*(f"X{n}: y" for n in range(128))), "too many fields"),
    refused("size: ten thousand tiny fields", head(*["a:"] * 10_000), "too many fields"),
    read("size: a value of 32000", head("X: " + "a" * 32_000)),
    refused("size: a value too long", head(_BIG), "unfinished after 32768 bytes"),
    refused("size: a value without an end", head(_BIG).rstrip(b"\r\n"), "unfinished after 32768 bytes"),
    refused("size: a name too long", head("a" * (32 * 1024) + ": b"), "unfinished after 32768 bytes"),
    refused("size: a target too long", head(line=f"GET /{'a' * 32 * 1024} HTTP/1.1"), "unfinished after 32768 bytes"),
    refused("size: a cookie too long", head("Cookie: " + "a=b; " * 8000), "unfinished after 32768 bytes"),
)
