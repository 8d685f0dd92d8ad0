"""An HTTP server on 127.0.0.1 that serves files, and fails as a test demands."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CHUNK_BYTES = 1 << 14


@dataclass
class ServedFile:
    """A file and the faults of its responses."""

    body: bytes
    ranges: bool = True  # support Range
    length: bool = True  # send Content-Length
    refuse: list[int] = field(default_factory=list)  # statuses of the first responses
    drop: list[int] = field(default_factory=list)  # bytes of the body after which the next responses end
    drop_always: int | None = None  # the same for all later responses
    delay: float = 0.0  # seconds before each chunk
    headers: dict[str, str] = field(default_factory=dict)


class Server:
    """`files` by path, such as "/a.tar"; `requests` holds the path and the Range header of each request."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.files: dict[str, ServedFile] = {}
        self.requests: list[tuple[str, str | None]] = []

    def url(self, path: str) -> str:
        return self.address + path


@contextmanager
def serve() -> Iterator[Server]:
    """Run a server until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def respond(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def do_GET(self) -> None:
            requested = self.headers["Range"]
            server.requests.append((self.path, requested))
            file = server.files.get(self.path)
            if file is None or file.refuse:
                headers = file.headers if file else {}
                self.respond(file.refuse.pop(0) if file else 404, headers | {"Content-Length": "0"})
                return
            is_partial = file.ranges and requested is not None
            start = int(re.fullmatch(r"bytes=(\d+)-", requested)[1]) if is_partial else 0
            total = len(file.body)
            if is_partial and start >= total:
                self.respond(416, {"Content-Range": f"bytes */{total}", "Content-Length": "0"})
                return
            body = file.body[start:]
            headers = {"Content-Range": f"bytes {start}-{total - 1}/{total}"} if is_partial else {}
            headers |= file.headers | ({"Content-Length": str(len(body))} if file.length else {})
            self.respond(206 if is_partial else 200, headers | {"Connection": "close"})
            body = body[: file.drop.pop(0) if file.drop else file.drop_always]
            with suppress(OSError):  # the client went away
                for first in range(0, len(body), CHUNK_BYTES):
                    if file.delay:
                        time.sleep(file.delay)
                    self.wfile.write(body[first : first + CHUNK_BYTES])
            self.close_connection = True

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server = Server(f"http://127.0.0.1:{http.server_port}")
    threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
