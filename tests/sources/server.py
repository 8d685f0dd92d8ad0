"""An HTTP server on 127.0.0.1 that gives files, and misbehaves as it is told."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """A file, and how it is given."""

    body: bytes
    ranges: bool = True  # honour Range
    shift: int = 0  # bytes by which a range starts elsewhere than it was asked to
    length: bool = True  # say how long the body is
    refuse: list[int] = field(default_factory=list)  # statuses of the first answers
    drop: list[int] = field(default_factory=list)  # the next answers end after so many bytes of their body
    drop_always: int | None = None  # and all others
    delay: float = 0.0  # s before each 16 KiB
    headers: dict[str, str] = field(default_factory=dict)


class Server:
    """`files` by path ("/a.tar"), and `asked`: path and Range header of each request."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.files: dict[str, Served] = {}
        self.asked: list[tuple[str, str | None]] = []

    def url(self, path: str) -> str:
        return self.address + path


@contextmanager
def serve() -> Iterator[Server]:
    """Run a server until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            server.asked.append((self.path, self.headers["Range"]))
            file = server.files.get(self.path)
            if file is None or file.refuse:
                self.send_response(file.refuse.pop(0) if file else 404)
                for name, value in (file.headers if file else {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            first = int(re.fullmatch(r"bytes=(\d+)-", self.headers["Range"])[1]) if self.headers["Range"] else 0
            partial = file.ranges and self.headers["Range"] is not None
            if partial and first >= len(file.body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(file.body)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            first = first + file.shift if partial else 0
            body = file.body[first:]
            self.send_response(206 if partial else 200)
            if partial:
                self.send_header("Content-Range", f"bytes {first}-{len(file.body) - 1}/{len(file.body)}")
            for name, value in file.headers.items():
                self.send_header(name, value)
            if file.length:
                self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            end = file.drop.pop(0) if file.drop else file.drop_always
            body = body[:end]
            try:
                for start in range(0, len(body), 1 << 14):
                    if file.delay:
                        time.sleep(file.delay)
                    self.wfile.write(body[start : start + (1 << 14)])
            except OSError:
                pass  # the client went away
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
