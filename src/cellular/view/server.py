"""The page's server: on the loopback, behind its guard, until it is told to stop."""

import secrets
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cellular.errors import InputError, import_extra
from cellular.jobs.queue import Queue
from cellular.jobs.view import Run

# Of one message from the page, bytes: a piece of an upload and what goes around it.
MOST_MESSAGE = 16 << 20


@dataclass(frozen=True)
class Serving:
    """A page that is served.

    Attributes
    ----------
    address : what opens it, the token included. port, token : parts of it. server : Panel's.
    """

    address: str
    port: int
    token: str
    server: Any

    def run(self) -> None:
        """Answer until Ctrl-C."""
        self.server.io_loop.start()


@contextmanager
def serve(run: Run, *, port: int = 0, who: str | None = None) -> Iterator[Serving]:
    """The page of `run` on `port` of the loopback, 0 for a free one; it answers within :meth:`Serving.run`.

    Raises MissingExtraError without the extra `view`, InputError where the port is taken, OutputExistsError where the
    run's folder has a page already.
    """
    panel = import_extra("panel", "view")
    _load_tables()
    from bokeh.settings import settings

    from cellular.view.desk import Desk
    from cellular.view.guard import Guard
    from cellular.view.page import page

    settings.perform_document_validation = False  # an eighth of the time to a page; tests/view look it through
    port, token = _free(port), secrets.token_urlsafe(24)
    desk = Desk(run, Queue(run.folder / "jobs"), who)
    server = panel.serve(
        {"/": lambda: page(desk)},
        port=port,
        address="127.0.0.1",
        websocket_origin=[f"127.0.0.1:{port}", f"localhost:{port}"],
        websocket_max_message_size=MOST_MESSAGE,
        http_server_kwargs={"max_body_size": 1 << 16, "max_header_size": 1 << 16},
        title=f"cellular: {run.folder.resolve().name}",
        show=False,
        start=False,
        verbose=False,
    )
    # Bokeh makes the HTTP server itself; what it hands requests to is put behind the guard
    server._http.request_callback = Guard(server._tornado, port, token)
    server.start()
    try:
        with desk:
            yield Serving(f"http://127.0.0.1:{port}/?token={token}", port, token, server)
    finally:
        server.stop()


def _load_tables() -> None:
    """Import what pandas makes tables with, without matplotlib: it is for gradients, which no table here has."""
    if "matplotlib" in sys.modules:
        return
    sys.modules["matplotlib"] = None  # type: ignore[assignment]  # pandas goes without what cannot be imported
    try:
        import pandas.io.formats.style  # noqa: F401
    finally:
        del sys.modules["matplotlib"]


def _free(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise InputError(f"port {port} cannot be had ({error.strerror}); give another --port, or 0") from error
        return probe.getsockname()[1]
