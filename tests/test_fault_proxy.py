"""The fault proxy does what it says, before a server that answers each request with what it got."""
import contextlib
import http.client
import http.server
import socket
import threading
import time

import pytest

import fault_proxy
from fault_proxy import FaultProxy

BODY = b"0123456789" * 20


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        self.send_response_only(200)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(BODY)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer

    def log_message(self, *_):
        pass

    def handle(self):
        with contextlib.suppress(ConnectionError):
            super().handle()


@pytest.fixture
def upstream():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.seen = True, []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def proxy(upstream):
    with FaultProxy(upstream.server_address) as made:
        yield made


def ask(proxy, method="GET", path="/bucket/key", body=None, headers=None, connection=None):
    connection = connection or http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    return answer.status, answer.read()


def raw(proxy, request=b"GET /bucket/key HTTP/1.1\r\nHost: x\r\n\r\n", timeout=10):
    """All bytes that come until the end; None where the end was a reset."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout) as connection:
        connection.sendall(request)
        out = b""
        try:
            while got := connection.recv(65536):
                out += got
        except ConnectionResetError:
            return None
        return out


def test_bytes_pass_unchanged(proxy, upstream):
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    for body in (b"", b"\0\xff" * 70000):
        assert ask(proxy, "PUT", "/bucket/a%20b?x=%2F&y", body, {"X-Odd": "a  b"}, connection) == (200, BODY)
        method, path, headers, got = upstream.seen[-1]
        assert (method, path, got, headers["Host"], headers["X-Odd"]) == ("PUT", "/bucket/a%20b?x=%2F&y", body, f"127.0.0.1:{proxy.port}", "a  b")
    assert proxy.connections == 1 and proxy.counts == {"put": 2}
    assert [(r.number, r.kind, r.key, r.status, r.fault) for r in proxy.requests] == [(1, "put", "a b", 200, None), (2, "put", "a b", 200, None)]


def test_chunked_and_expecting_bodies_pass(proxy, upstream):
    request = b"PUT /b/k HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"
    answer = raw(proxy, request)
    assert answer.startswith(b"HTTP/1.1 100 ") and answer.endswith(BODY) and upstream.seen[-1][3] == b"abc"
    assert ask(proxy, "HEAD") == (200, b"")


@pytest.mark.parametrize("kind,method,target", [
    ("list", "GET", "/b?list-type=2&prefix=x%2F"), ("list", "GET", "/b/?list-type=2"), ("list", "GET", "/b/"), ("other", "GET", "/b?location"),
    ("get", "GET", "/b/k"), ("get", "GET", "/b/k/?versionId=1"), ("head", "HEAD", "/b/k"), ("put", "PUT", "/b/k"), ("other", "PUT", "/b"),
    ("delete", "DELETE", "/b/k"), ("multi-delete", "POST", "/b?delete"), ("create", "POST", "/b/k?uploads="), ("other", "GET", "/b?uploads"),
    ("part", "PUT", "/b/k?partNumber=1&uploadId=u"), ("complete", "POST", "/b/k?uploadId=u"), ("abort", "DELETE", "/b/k?uploadId=u"),
])
def test_kinds(kind, method, target, proxy):
    ask(proxy, method, target)
    assert proxy.counts == {kind: 1}


def test_the_nth_of_a_kind(proxy):
    rule = proxy.fail("503", kind="put", nth=2, match="k$")
    answers = [ask(proxy, method, path)[0] for method, path in
               [("PUT", "/b/k"), ("GET", "/b/k"), ("PUT", "/b/other"), ("PUT", "/b/k"), ("PUT", "/b/k")]]
    assert answers == [200, 200, 200, 503, 200] and rule.fired == 1
    assert [r.fault for r in proxy.requests] == [None, None, None, "503", None]
    proxy.clear()
    forever = proxy.fail("500", nth=2, times=None)
    assert [ask(proxy)[0] for _ in range(4)] == [200, 500, 500, 500] and forever.fired == 3 and proxy.counts["get"] == 4


def test_chance_is_repeatable(proxy):
    outcomes = []
    for seed in (1, 1, 2):
        proxy.clear()
        proxy.fail("500", chance=0.5, times=None, seed=seed)
        outcomes.append([ask(proxy)[0] for _ in range(20)])
    assert outcomes[0] == outcomes[1] != outcomes[2] and {200, 500} == set(outcomes[0])


@pytest.mark.parametrize("fault,status,code", [
    ("500", 500, b"InternalError"), ("503", 503, b"SlowDown"), ("429", 429, b"TooManyRequests"), ("timeout", 400, b"RequestTimeout"),
    ("skewed", 403, b"RequestTimeTooSkewed"), ("expired", 400, b"ExpiredToken"), ("conflict", 409, b"ConditionalRequestConflict"),
    ("no-upload", 404, b"NoSuchUpload"), ("denied", 403, b"AccessDenied"), ("200-error", 200, b"InternalError"), ("502-html", 502, b"gateway"),
    ("500-done", 500, b"InternalError"), ("503-done", 503, b"SlowDown"), ("200-error-done", 200, b"InternalError"),
])
def test_errors(fault, status, code, proxy, upstream):
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    proxy.fail(fault)
    got, body = ask(proxy, "PUT", body=b"x", connection=connection)
    assert got == status and code in body
    assert len(upstream.seen) == (1 if fault.endswith("-done") else 0)
    assert ask(proxy, "PUT", connection=connection) == (200, BODY)
    proxy.fail(fault)
    assert ask(proxy, "HEAD", connection=connection)[1] == b""


def test_connections_that_break(proxy, upstream):
    for fault, answer, effects in (("reset", None, 0), ("hang-up", b"", 0), ("lose", b"", 1), ("lose-reset", None, 1)):
        upstream.seen.clear()
        rule = proxy.fail(fault)
        assert raw(proxy) == answer, fault
        assert rule.fired == 1 and len(upstream.seen) == effects, fault


def test_refused_for_a_moment(proxy, upstream):
    idle = socket.create_connection(("127.0.0.1", proxy.port))
    ask(proxy)
    proxy.fail(lambda x: fault_proxy.refuse(x, 0.4))
    assert raw(proxy) is None
    time.sleep(0.1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port))
    with pytest.raises(ConnectionResetError):
        idle.recv(1)
    time.sleep(0.4)
    assert ask(proxy) == (200, BODY) and len(upstream.seen) == 2


def test_answers_that_are_cut(proxy):
    whole = raw(proxy, b"GET /b/k HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert whole.endswith(BODY)
    head = whole[:whole.index(b"\r\n\r\n") + 4]
    for fault, holds in {
        "cut-status": lambda got: got == whole[:10], "cut-head": lambda got: head.startswith(got) and 20 < len(got) < len(head) - 2,
        "cut-head-at-line": lambda got: got == head[:-2] and got.endswith(b"\r\n"), "short-body": lambda got: got == head + BODY[:100],
        "length-more": lambda got: b"Content-Length: 207\r\n\r\n" in got and got.endswith(BODY) and got.count(b"Content-Length") == 1,
    }.items():
        proxy.fail(fault)
        got = raw(proxy)
        assert holds(got), (fault, got)


def test_bodies_that_differ(proxy):
    proxy.fail("flip")
    status, body = ask(proxy)
    assert status == 200 and sum(a != b for a, b in zip(body, BODY)) == 1 and len(body) == len(BODY)
    proxy.fail("length-less")
    assert ask(proxy) == (200, BODY[:-7])


def test_slow_answers(proxy):
    for fault, wait in ((lambda x: fault_proxy.stall(x, 0.3), 0.3), (lambda x: fault_proxy.stall_in_body(x, 0.3), 0.3), ("drip", 0.004)):
        proxy.fail(fault)
        start = time.monotonic()
        assert ask(proxy) == (200, BODY) and wait <= time.monotonic() - start < wait + 2
    proxy.latency = 0.1
    start = time.monotonic()
    ask(proxy)
    assert time.monotonic() - start >= 0.1


def test_a_stall_ends_with_its_client(proxy):
    proxy.fail("stall")
    with socket.create_connection(("127.0.0.1", proxy.port)) as connection:
        connection.sendall(b"GET /b/k HTTP/1.1\r\n\r\n")
        while not proxy.requests:
            time.sleep(0.01)
    start = time.monotonic()
    while proxy.wires and time.monotonic() - start < 10:
        time.sleep(0.01)
    assert not proxy.wires


def test_what_is_no_answer(proxy):
    proxy.fail("garbage")
    assert b"SSH" in raw(proxy)
    proxy.fail(lambda x: fault_proxy.endless_body(x, 1 << 20))
    assert len(raw(proxy)) > 1 << 20
    proxy.fail(lambda x: fault_proxy.endless_head(x, 1 << 20))
    assert b"\r\n\r\n" not in raw(proxy)


def test_a_fault_of_the_tests_own(proxy):
    seen = []

    def look(x):
        seen.append(x.request.key)
        x.pass_on()

    proxy.fail(look, kind="get")
    assert ask(proxy) == (200, BODY) and seen == ["key"]


def test_an_error_in_a_fault_is_told(upstream):
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        with FaultProxy(upstream.server_address) as proxy:
            proxy.fail(lambda x: 1 / 0)
            raw(proxy)


def test_many_at_once(proxy):
    results = []
    threads = [threading.Thread(target=lambda: results.extend(ask(proxy)[0] for _ in range(20))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [200] * 160 and [r.number for r in proxy.requests] == list(range(1, 161))


def test_a_server_that_is_not_there():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with FaultProxy(closed.getsockname()) as proxy:
            assert raw(proxy) == b""
