"""Who may ask: this machine's own browser, with the token, at the page's own address. Everyone else is refused.

A page on loopback is within reach of every other page that the browser has open, and of every user of the machine. So
each request must name the loopback as its host (a foreign name that resolves here does not count), come from no other
origin, and carry the token: once in the address, from then on in a cookie that no script can read.
"""

import hmac
from urllib.parse import unquote, urlsplit

from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest
from tornado.routing import Router
from tornado.web import Application, RequestHandler

HOSTS = ("127.0.0.1", "localhost")


class Guard(Router):
    """Stands before the application `app` on `port`, and lets through who may ask."""

    def __init__(self, app: Application, port: int, token: str) -> None:
        self.app, self.port, self.token = app, port, token
        self.cookie = f"cellular-{port}"

    def find_handler(self, request: HTTPServerRequest, **kwargs: object) -> HTTPMessageDelegate | None:
        """The application's own handler, or one that refuses."""
        status, reason = self.verdict(request)
        if status == 302:
            told = {"cookie": self.cookie, "token": self.token, "port": self.port}
            return self.app.get_handler_delegate(request, _Enter, told)
        if status:
            return self.app.get_handler_delegate(request, _Refuse, {"status": status, "reason": reason})
        return self.app.find_handler(request)

    def verdict(self, request: HTTPServerRequest) -> tuple[int, str]:
        """Status and reason of a refusal, 302 for who comes with the token in the address, 0 for who may pass."""
        addresses = {f"{host}:{self.port}" for host in HOSTS}
        origin = request.headers.get("Origin")
        if request.host not in addresses:
            return 421, "this page answers to its own address on this machine alone"
        if origin is not None and origin not in {f"http://{address}" for address in addresses}:
            return 403, "asked for by another page"
        if request.headers.get("Upgrade", "").lower() == "websocket" and origin is None:
            return 403, "a connection without an origin"
        if request.method not in ("GET", "HEAD"):
            return 405, "nothing is sent here this way"
        path = unquote(unquote(request.path))
        if ".." in path.replace("\\", "/").split("/") or "\0" in path:
            return 400, "a path that leads elsewhere"
        if any(self._is_token(given) for given in request.query_arguments.get("token", [])):
            return 302, ""
        cookie = request.cookies.get(self.cookie)
        if cookie is None or not self._is_token(cookie.value.encode()):
            return 403, "the address with its token, as `cellular view` printed it, opens this page"
        return 0, ""

    def _is_token(self, given: bytes) -> bool:
        return hmac.compare_digest(given, self.token.encode())


class _Enter(RequestHandler):
    """Takes the token out of the address, where it would be seen and kept, and into a cookie."""

    def initialize(self, cookie: str, token: str, port: int) -> None:
        self.told = (cookie, token)

    def get(self) -> None:
        self.set_cookie(*self.told, httponly=True, samesite="Strict")
        self.redirect(urlsplit(self.request.uri).path or "/")


class _Refuse(RequestHandler):
    """Says no, and why."""

    def initialize(self, status: int, reason: str) -> None:
        self.status, self.reason = status, reason

    def prepare(self) -> None:
        self.set_status(self.status)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"refused: {self.reason}\n")
