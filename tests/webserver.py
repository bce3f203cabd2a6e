"""Web servers in the test's process that answer by a function."""

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

Answer = tuple[int, dict[str, str], str]  # status, fields, body
Answering = Callable[[str, str, str, dict[str, str]], Answer]  # of method, target, body and fields


def handler(answering: Answering) -> type[BaseHTTPRequestHandler]:
    """Make what an `http.server` handles its requests by; names of fields come as `Content-Type` is written."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # its name
            body = self.rfile.read(int(self.headers.get("content-length", "0"))).decode()
            headers = {name.title(): value for name, value in self.headers.items()}
            status, more, text = answering(self.command, self.path, body, headers)
            self.send_response(status)
            for name, value in {"content-type": "application/json", "connection": "close", **more}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_GET  # noqa: N815  # its name

        def log_message(self, *_: object) -> None:
            pass

    return Handler
