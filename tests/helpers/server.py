"""A local file server with a bad day: ranges, cut connections, lies about length, 429/500/404, on demand."""

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Behaviour:
    """What the server does; tests change it while it runs.

    Attributes
    ----------
    files : path (with leading slash) to the bytes or the file served there.
    ranges : answer Range requests; else always send everything with 200.
    cuts : how many bytes to send before cutting the connection, one entry per GET of a body; empty is no cut.
    statuses : statuses to answer the next requests with before behaving well.
    claim : Content-Length to claim instead of the true one.
    etag, modified : ETag and Last-Modified to send.
    sent, at_once, most_at_once : bytes of bodies so far; connections now, and the most there were.
    """

    files: dict[str, bytes | Path] = field(default_factory=dict)
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    claim: int | None = None
    etag: str | None = '"v1"'
    modified: str | None = None
    content_type: str = "application/octet-stream"
    sent: int = 0
    at_once: int = 0
    most_at_once: int = 0
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)

    @property
    def counts(self) -> Counter:
        return Counter(method for method, _, _ in self.requests)


_COUNTING = threading.Lock()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        day: Behaviour = self.server.behaviour
        with _COUNTING:
            day.at_once += 1
            day.most_at_once = max(day.most_at_once, day.at_once)
        super().setup()

    def finish(self) -> None:
        with _COUNTING:
            self.server.behaviour.at_once -= 1
        super().finish()

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        day: Behaviour = self.server.behaviour
        day.requests.append((self.command, self.path, self.headers.get("Range")))
        content = day.files.get(self.path)
        if day.statuses:
            return self._status(day.statuses.pop(0))
        if content is None:
            return self._status(404)
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        start, stop = 0, size
        asked = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")) if day.ranges else None
        version = day.etag or day.modified
        if asked and self.headers.get("If-Range", version) != version:
            asked = None
        if asked:
            start, stop = int(asked[1]), min(size, int(asked[2]) + 1) if asked[2] else size
            if start >= size:
                return self._status(416, {"Content-Range": f"bytes */{size}"})
        self.send_response(206 if asked else 200)
        self.send_header("Content-Type", day.content_type)
        self.send_header("Content-Length", str(day.claim if day.claim is not None else stop - start))
        if day.ranges:
            self.send_header("Accept-Ranges", "bytes")
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        if day.etag:
            self.send_header("ETag", day.etag)
        if day.modified:
            self.send_header("Last-Modified", day.modified)
        self.end_headers()
        if body:
            self._send(content, start, stop)

    def _send(self, content: bytes | Path, start: int, stop: int) -> None:
        day: Behaviour = self.server.behaviour
        if day.cuts:
            stop = min(stop, start + day.cuts.pop(0))
            self.close_connection = True
        if isinstance(content, Path):
            with open(content, "rb") as file:
                file.seek(start)
                content = file.read(stop - start)
        else:
            content = content[start:stop]
        if day.claim is not None:
            self.close_connection = True
        day.sent += len(content)
        try:
            self.wfile.write(content)
        except OSError:  # the client has heard enough
            self.close_connection = True

    def _status(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status == 429:
            self.send_header("Retry-After", "0")
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def serving(files: dict[str, bytes | Path] | None = None) -> Iterator[tuple[str, Behaviour]]:
    """Address and behaviour of a server that runs while the block does."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.behaviour = Behaviour(dict(files or {}))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.behaviour
    finally:
        server.shutdown()
        server.server_close()
