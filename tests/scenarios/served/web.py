"""A web app of the standard library's alone, for a pod: it says back what it got, in every way HTTP/1.1 knows.

    /            a page that opens a WebSocket and an event stream to its own host and shows what came
    /headers     the fields it received, as a JSON list of pairs
    /events?n=   server-sent events               /big?bytes=   that many bytes, chunked; &length: with their length
    /upload      count and hash of a body         /slow?n=      a body in pieces, each when the one before is long there
    /refuse      413 while the upload goes on     /trailers     a chunked body with a trailer
    /hints       103 before 200                   /cookies      cookies, also such as no pod should be able to set
    /ws          WebSocket echo                   /upgrade      101 to a protocol of its own: an echo of raw bytes
    /close       a body that ends by closing      /redirect?to= 302, or &code=
    /clear       Clear-Site-Data                  /image        a picture, /script a script, /style a style sheet
    /….html      the file beside this one         /….js         likewise

Each request is a line of JSON in requests.log in its directory, written before it is answered.
"""

import base64
import hashlib
import json
import os
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

PIECE = 1 << 18
PAUSE = 0.1  # seconds between the pieces of /slow
WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
LOG = Path("requests.log")

PAGE = b"""<!doctype html><html lang="en"><title>An app</title><h1>An app</h1>
<p id="socket"></p><p id="events"></p><pre id="headers"></pre>
<script>
const show = (id, text) => { document.getElementById(id).textContent += text; };
const socket = new WebSocket(`wss://${location.host}/ws`);
socket.onopen = () => socket.send("hello");
socket.onmessage = (event) => show("socket", event.data);
socket.onerror = () => show("socket", "refused");
const events = new EventSource("/events?n=3");
events.onmessage = (event) => { show("events", event.data); if (event.data === "3") events.close(); };
fetch("/headers").then((answer) => answer.text()).then((text) => show("headers", text));
</script>"""


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one write for a head
    rbufsize = PIECE
    disable_nagle_algorithm = True
    lock = threading.Lock()

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def answer(self) -> None:
        parts = urlsplit(self.path)
        self.query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        fields = [[name, value] for name, value in self.headers.items()]
        with self.lock, LOG.open("a") as log:
            log.write(json.dumps({"method": self.command, "path": self.path, "headers": fields}) + "\n")
        name = parts.path.strip("/").replace("/", "_") or "index"
        getattr(self, f"show_{name}", self.show_nothing)()

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Give what the base class looks for as `do_GET` and so on: every method is answered alike."""
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        sys.stderr.write(f"{format % args}\n")

    # ---- answers

    def reply(self, body: bytes, kind: str = "application/json", status: int = 200, *more: tuple[str, str]) -> None:
        """Answer as a whole; a body that came with the request is read first, so that the next one is found."""
        for _ in self.pieces():
            pass
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), *more):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def show_nothing(self) -> None:
        found = Path(__file__).with_name(Path(urlsplit(self.path).path).name)
        kind = {".html": "text/html", ".js": "text/javascript"}.get(found.suffix)
        if kind and found.exists():
            self.reply(found.read_bytes(), kind)
        else:
            self.reply(b"nothing here", "text/plain", 404)

    def show_image(self) -> None:
        self.reply(b'<svg xmlns="http://www.w3.org/2000/svg" width="7" height="7"/>', "image/svg+xml")

    def show_script(self) -> None:
        self.reply(b"window.stolen = 'script';", "text/javascript")

    def show_style(self) -> None:
        self.reply(b":root { --stolen: style; }", "text/css")

    def show_index(self) -> None:
        self.reply(PAGE, "text/html")

    def show_headers(self) -> None:
        self.reply(json.dumps(self.headers.items()).encode())

    def show_upload(self) -> None:
        count, seen = 0, hashlib.sha256()
        for piece in self.pieces():
            count += len(piece)
            seen.update(piece)
        told = {"count": count, "sha256": seen.hexdigest(), "trailers": self.trailers}
        self.reply(json.dumps(told).encode())

    def show_redirect(self) -> None:
        self.reply(b"", "text/plain", int(self.query.get("code", "302")), ("Location", self.query["to"]))

    def show_clear(self) -> None:
        self.reply(b"cleared", "text/plain", 200, ("Clear-Site-Data", '"cache", "cookies", "storage"'))

    def show_cookies(self) -> None:
        parent = self.headers["Host"].partition(":")[0].partition(".")[2]
        tossed = [
            "own=1; Path=/",
            "__Host-podgate=tossed; Secure; Path=/",
            f"__Host-podgate=tossed; Secure; Path=/; Domain={parent}",
            f"podgate=tossed; Secure; Path=/; Domain={parent}",
            f"wide=1; Path=/; Domain={parent}",
        ]
        self.reply(b"set", "text/plain", 200, *(("Set-Cookie", cookie) for cookie in tossed))

    def show_hints(self) -> None:
        self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload; as=style\r\n\r\n")
        self.wfile.flush()
        self.reply(b"hinted", "text/plain")

    def show_close(self) -> None:
        self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end")
        self.close_connection = True

    def show_refuse(self) -> None:
        """Answer at once, whatever is still on its way."""
        self.send_response(413)
        self.send_header("Content-Length", "7")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"too big")
        self.wfile.flush()
        self.close_connection = True

    def show_events(self) -> None:
        numbers = range(1, int(self.query.get("n", "3")) + 1)
        self.stream((f"data: {number}\n\n".encode() for number in numbers), "text/event-stream")

    def show_slow(self) -> None:
        def pieces() -> Iterator[bytes]:
            for number in range(int(self.query.get("n", "3"))):
                yield f"{number}\n".encode()
                time.sleep(PAUSE)

        self.stream(pieces(), "text/plain")

    def show_trailers(self) -> None:
        self.stream(iter([b"a body"]), "text/plain", "Checksum: 42\r\n")

    def show_big(self) -> None:
        size, zeroes = int(self.query["bytes"]), bytes(PIECE)
        whole, rest = divmod(size, PIECE)
        pieces = (zeroes[: PIECE if number < whole else rest] for number in range(whole + (rest > 0)))
        if "length" not in self.query:
            self.stream(pieces, "application/octet-stream")
            return
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        for piece in pieces:
            self.wfile.write(piece)
        self.wfile.flush()

    def stream(self, pieces: Iterator[bytes], kind: str, trailer: str = "") -> None:
        """Answer in chunks, each sent by itself."""
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        if trailer:
            self.send_header("Trailer", trailer.partition(":")[0])
        self.end_headers()
        for piece in pieces:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.flush()
        self.wfile.write(f"0\r\n{trailer}\r\n".encode())
        self.wfile.flush()

    # ---- bodies

    def pieces(self) -> Iterator[bytes]:
        """Read the request's body, by its length or in chunks."""
        self.trailers: list[str] = []
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            yield from self.counted(int(self.headers.get("Content-Length") or 0))
            del self.headers["Content-Length"]  # it is read once
            return
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            yield from self.counted(size)
            self.rfile.readline()
        while line := self.rfile.readline().strip():
            self.trailers.append(line.decode("latin-1"))
        del self.headers["Transfer-Encoding"]

    def counted(self, size: int) -> Iterator[bytes]:
        while size:
            piece = self.rfile.read1(min(size, PIECE))
            if not piece:
                raise ConnectionResetError("the body ended before its time")
            size -= len(piece)
            yield piece

    # ---- other protocols

    def switch(self, *fields: str) -> None:
        self.wfile.write(
            "\r\n".join(["HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", *fields, "", ""]).encode()
        )
        self.wfile.flush()
        self.close_connection = True

    def show_upgrade(self) -> None:
        self.switch("Upgrade: echo")
        while piece := self.rfile.read1(PIECE):
            self.wfile.write(piece)
            self.wfile.flush()

    def show_ws(self) -> None:
        key = self.headers["Sec-WebSocket-Key"].encode()
        accept = base64.b64encode(hashlib.sha1(key + WEBSOCKET, usedforsecurity=False).digest()).decode()
        self.switch("Upgrade: websocket", f"Sec-WebSocket-Accept: {accept}")
        opcode = 0
        while opcode != 8:  # close is echoed, too
            opcode, payload = self.frame()
            reply = opcode if opcode != 9 else 10  # a ping's reply is a pong
            size = struct.pack(">B", len(payload)) if len(payload) < 126 else struct.pack(">BH", 126, len(payload))
            self.wfile.write(bytes([0x80 | reply]) + size + payload)
            self.wfile.flush()

    def frame(self) -> tuple[int, bytes]:
        first, second = self.rfile.read(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack(">H", self.rfile.read(2))
        mask = self.rfile.read(4)
        masked = self.rfile.read(size)
        return first & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(masked))


if __name__ == "__main__":
    ThreadingHTTPServer.daemon_threads = True
    ThreadingHTTPServer.request_queue_size = 128
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), App).serve_forever()
