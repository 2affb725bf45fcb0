"""Who is let through to the page, and who is not: over real sockets, against the whole server."""

import http.client
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from live import viewing

pytest.importorskip("panel", reason="the page needs the extra view")


@pytest.fixture(scope="module")
def page(analysed):
    with viewing(analysed) as (address, process):
        yield urlsplit(address)


def ask(page, path="/", method="GET", body=None, **headers):
    """Status, headers and text of an answer; header names with _ for -."""
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=300)
    try:
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, told)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode(errors="replace")
    finally:
        connection.close()


def cookie(page):
    status, headers, _ = ask(page, f"/?{page.query}")
    assert status == 302
    assert headers["Location"] == "/", "the token does not stay in the address"
    assert "HttpOnly" in headers["Set-Cookie"]
    assert "SameSite=Strict" in headers["Set-Cookie"]
    return headers["Set-Cookie"].split(";")[0]


def test_the_token_opens_the_page_and_a_cookie_keeps_it_open(page):
    status, _, text = ask(page, Cookie=cookie(page))
    assert status == 200
    assert "bokeh" in text


@pytest.mark.parametrize(
    "path", ["/", "/ws", "/static/js/bokeh.min.js", "/autoload.js?bokeh-autoload-element=1", "/?token=x"]
)
def test_without_the_token_nothing_is_answered(page, path):
    status, _, text = ask(page, path)
    assert status == 403
    assert "refused" in text


def test_a_foreign_host_name_that_resolves_here_is_refused(page):
    assert ask(page, f"/?{page.query}", Host=f"evil.example:{page.port}")[0] == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_another_origin_is_refused_with_and_without_the_cookie(page, origin):
    assert ask(page, Origin=origin, Cookie=cookie(page))[0] == 403
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13"}
    key = {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    assert ask(page, "/ws", Origin=origin, Cookie=cookie(page), **upgrade, **key)[0] == 403


def test_a_websocket_without_an_origin_is_refused(page):
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13"}
    assert ask(page, "/ws", Cookie=cookie(page), **upgrade)[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        "/static/../../etc/passwd",
        "/static/%2e%2e/%2e%2e/etc/passwd",
        "/static/%252e%252e/x",
        "/static/..%5c..%5cx",
        "/a%00b",
    ],
)
def test_paths_that_lead_elsewhere_are_refused(page, path):
    status, _, text = ask(page, path, Cookie=cookie(page))
    assert status == 400
    assert "root:" not in text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_is_taken_by_other_methods(page, method):
    assert ask(page, method=method, body=b"x", Cookie=cookie(page))[0] == 405


def test_a_body_that_is_too_large_is_not_read(page):
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=300)
    connection.putrequest("POST", "/")
    connection.putheader("Content-Length", str(10**9))
    connection.endheaders()
    assert connection.getresponse().status in (400, 405, 413)
    connection.close()


def test_it_listens_on_the_loopback_alone(page):
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {"127.0.0.1"}
    for address in others:
        with socket.socket() as probe:
            probe.settimeout(2)
            assert address.startswith("127.") or probe.connect_ex((address, page.port)) != 0


def test_ten_at_once_are_all_answered(page):
    given = cookie(page)
    paths = ["/", "/", *["/static/js/bokeh.min.js"] * 8]
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda path: ask(page, path, Cookie=given)[0], paths))
    assert answers == [200] * 10


def test_the_verdict_needs_no_server():
    """Each reason alone, so that the order of the checks hides none."""
    from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

    from cellular.view.guard import Guard

    guard = Guard(None, 80, "right")

    def verdict(uri="/", method="GET", **headers):
        told = {"Host": "127.0.0.1:80", "Cookie": "cellular-80=right"} | headers
        asked = RequestStartLine(method, uri, "HTTP/1.1")
        request = HTTPServerRequest(start_line=asked, headers=HTTPHeaders(told), connection=_Connection())
        return guard.verdict(request)[0]

    assert verdict() == 0
    assert verdict(Cookie="cellular-80=wrong") == 403
    assert verdict(Cookie="cellular-81=right") == 403, "a cookie of another port is another page's"
    assert verdict(Host="127.0.0.1:81") == 421
    assert verdict(Host="127.0.0.1") == 421
    assert verdict(Origin="https://127.0.0.1:80") == 403
    assert verdict(Origin="http://localhost:80") == 0
    assert verdict("/?token=wrong", Cookie="") == 403
    assert verdict("/?token=right", Cookie="") == 302


class _Connection:
    context = type("Context", (), {"remote_ip": "127.0.0.1", "protocol": "http"})()
