"""An HTTP proxy before an S3 server that breaks what it is told to break. It stands between one client connection and one upstream
connection and passes bytes on unchanged, so that a signature for the proxy's host and port holds at the server behind it.

    with FaultProxy(("127.0.0.1", 7070)) as proxy:
        rule = proxy.fail("lose", kind="put", nth=2)       # the second PUT has its effect, its answer is lost
        ...                                                # run a client against proxy.url
        assert rule.fired == 1 and proxy.counts["put"] == 3

Faults are the functions below the line "Faults", by name or as they are: any function of an Exchange will do, so a test can change
an object just before it is read. Requests and answers are held in memory, whole."""
import collections
import contextlib
import email.utils
import random
import re
import select
import socket
import struct
import threading
import time
import urllib.parse
from dataclasses import dataclass, field

KINDS = ("list", "get", "head", "put", "delete", "multi-delete", "create", "part", "complete", "abort", "other")
HEAD_MAX = 1 << 18


class Gone(Exception):
    """One of the two ends has closed its connection, or the exchange is over because a fault said so."""


def kind_of(method, path, query):
    """What a request is to S3, in path style: /bucket/key?query."""
    key = path.lstrip("/").partition("/")[2]
    if method == "GET" and not key:
        return "list" if not query or "list-type" in query else "other"
    if "uploads" in query:
        return "create" if method == "POST" else "other"
    if "uploadId" in query:
        return {"PUT": "part", "POST": "complete", "DELETE": "abort"}.get(method, "other")
    if method == "POST":
        return "multi-delete" if "delete" in query else "other"
    if method == "HEAD":
        return "head"
    return {"GET": "get", "PUT": "put", "DELETE": "delete"}.get(method, "other") if key else "other"


@dataclass
class Request:
    """One request as it came. `fault`: what was done to it; `status`: of the server's answer, None if there was none."""

    number: int
    kind: str
    method: str
    path: str  # encoded, as sent
    query: dict
    headers: dict  # names in lower case
    raw: bytes = field(repr=False)
    fault: str | None = None
    status: int | None = None
    connection: int = 0

    @property
    def key(self):
        return urllib.parse.unquote(self.path).lstrip("/").partition("/")[2]


@dataclass
class Answer:
    """One answer: head with the empty line at its end, body as sent (chunked, if it is)."""

    head: bytes
    body: bytes

    @property
    def status(self):
        return int(self.head.split(b" ", 2)[1])

    def with_length(self, length):
        """The same answer with another Content-Length."""
        head = re.sub(rb"(?im)^(content-length|transfer-encoding):[^\r\n]*\r\n", b"", self.head)
        return Answer(head[:-2] + b"Content-Length: %d\r\n\r\n" % length, self.body)


class Wire:
    """Reads HTTP messages from a socket, which belongs to one thread."""

    def __init__(self, connection):
        self.socket, self.buffer, self.aborted = connection, b"", False
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def more(self):
        try:
            got = self.socket.recv(1 << 16)
        except OSError as error:
            raise Gone from error
        if not got:
            raise Gone
        self.buffer += got

    def take(self, size):
        while len(self.buffer) < size:
            self.more()
        out, self.buffer = self.buffer[:size], self.buffer[size:]
        return out

    def line_end(self, end):
        while end not in self.buffer:
            if len(self.buffer) > HEAD_MAX:
                raise Gone
            self.more()
        return self.take(self.buffer.index(end) + len(end))

    def chunks(self):
        """A chunked body, its framing kept."""
        out = b""
        while True:
            line = self.line_end(b"\r\n")
            size = int(line.split(b";")[0], 16)
            out += line
            if size == 0:
                while line != b"\r\n":
                    line = self.line_end(b"\r\n")
                    out += line
                return out
            out += self.take(size + 2)

    def rest(self):
        with contextlib.suppress(Gone):
            while True:
                self.more()
        out, self.buffer = self.buffer, b""
        return out

    def body(self, headers, until_close=False):
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return self.chunks()
        if "content-length" in headers:
            return self.take(int(headers["content-length"]))
        return self.rest() if until_close else b""

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Gone from error

    def close(self, reset=False):
        with contextlib.suppress(OSError):
            if reset or self.aborted:  # an RST, not a FIN
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def abort(self):
        """From any thread: whoever reads is told that the other end has gone, and then closes with a reset."""
        self.aborted = True
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RD)


def headers_of(head):
    pairs = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:] if line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


class Exchange:
    """A request in the hands of a fault: forward() and send() move its two halves, drop() ends the connection."""

    def __init__(self, proxy, client, upstream, request):
        self.proxy, self.client, self.upstream, self.request = proxy, client, upstream, request
        self.last = request.headers.get("connection", "").lower() == "close"

    def forward(self):
        """Has the server answer the request."""
        server = self.upstream()
        server.send(self.request.raw)
        while True:
            head = server.line_end(b"\r\n\r\n")
            answer = Answer(head, b"")
            if answer.status >= 200:
                break
        if self.request.method != "HEAD" and answer.status not in (204, 304):
            headers = headers_of(head)
            answer.body = server.body(headers, until_close=True)
            self.last |= headers.get("connection", "").lower() == "close" or not headers.keys() & {"content-length", "transfer-encoding"}
        self.request.status = answer.status
        return answer

    def send(self, data):
        self.client.send(data)

    def pass_on(self):
        answer = self.forward()
        self.send(answer.head + answer.body)

    def drop(self, reset=False):
        self.client.close(reset)
        raise Gone

    def answer(self, status, reason, body, *headers):
        """An answer of our own, of which the server knows nothing."""
        lines = [f"HTTP/1.1 {status} {reason}", f"Date: {email.utils.formatdate(usegmt=True)}", f"Content-Length: {len(body)}",
                 "Content-Type: application/xml", "x-amz-request-id: FAULTPROXY000001", *headers, "", ""]
        self.send("\r\n".join(lines).encode() + (b"" if self.request.method == "HEAD" else body))


# --- Faults: name -> what it does to an exchange --------------------------------------------------------------------------

def refuse(x, seconds=0.1):
    """The server is down for a moment: what is connected is reset, what connects is refused."""
    x.proxy.go_down(seconds)
    x.drop(reset=True)


def reset(x):
    """Before the server hears of it."""
    x.drop(reset=True)


def hang_up(x):
    """As reset, but in good order."""
    x.drop()


def lose(x, reset=False):
    """It has its effect, and nobody is told."""
    x.forward()
    x.drop(reset)


def cut(x, at):
    answer = x.forward()
    x.send((answer.head + answer.body)[:at])
    x.drop()


def cut_status(x):
    """HTTP/1.1 2"""
    cut(x, 10)


def cut_head(x):
    """Two header lines, of which the second is whole or not."""
    answer = x.forward()
    x.send(answer.head[:max(20, len(answer.head) * 2 // 3)])
    x.drop()


def cut_head_at_line(x):
    """All header lines are whole, the empty one is missing."""
    x.send(x.forward().head[:-2])
    x.drop()


def short_body(x):
    answer = x.forward()
    x.send(answer.head + answer.body[:len(answer.body) // 2])
    x.drop(reset=len(answer.body) % 2 == 1)


def flip(x):
    """One bit of the body is another."""
    answer = x.forward()
    body = bytearray(answer.body)
    if body:
        body[len(body) // 2] ^= 4
    x.send(answer.head + bytes(body))


def length_more(x):
    """The header promises more than comes."""
    answer = x.forward()
    x.send(answer.with_length(len(answer.body) + 7).head + answer.body)
    x.drop()


def length_less(x):
    """The header promises less than comes: the rest looks like the next answer."""
    answer = x.forward()
    x.send(answer.with_length(max(0, len(answer.body) - 7)).head + answer.body)


def error(x, status, code, reason="Error", effect=False, *headers):
    """S3's own way to say no. effect: after it has done what was asked."""
    if effect:
        x.forward()
    body = (f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>made by the fault proxy</Message>'
            f"<RequestId>FAULTPROXY000001</RequestId></Error>").encode()
    x.answer(status, reason, body, *headers)


def stall(x, seconds=30.0):
    """No byte for a while, then the answer."""
    answer = x.forward()
    x.proxy.sleep(seconds, x.client)
    x.send(answer.head + answer.body)


def stall_in_body(x, seconds=30.0):
    answer = x.forward()
    whole = answer.head + answer.body
    half = len(answer.head) + len(answer.body) // 2
    x.send(whole[:half])
    x.proxy.sleep(seconds, x.client)
    x.send(whole[half:])


def drip(x, bytes_=64, seconds=0.001):
    """A slow line: a few bytes at a time."""
    answer = x.forward()
    whole = answer.head + answer.body
    for at in range(0, len(whole), bytes_):
        x.send(whole[at:at + bytes_])
        x.proxy.sleep(seconds, x.client)


def garbage(x):
    """Whoever answers, it is not HTTP."""
    x.send(b"\x00\xff\x15\x03\x01SSH-2.0-OpenSSH\r\n\r\n<html>\r\n" * 3)
    x.drop()


def endless_body(x, most=1 << 30):
    x.send(b"HTTP/1.1 200 OK\r\nETag: \"0\"\r\nContent-Type: application/xml\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    for _ in range(most >> 16):
        x.send(chunk)
    x.drop()


def endless_head(x, most=1 << 28):
    x.send(b"HTTP/1.1 200 OK\r\n")
    for _ in range(most >> 10):
        x.send(b"x-filler: " + b"x" * 1012 + b"\r\n")
    x.drop()


def _error(*what, **how):
    return lambda x: error(x, *what, **how)


FAULTS = {
    "refuse": refuse, "reset": reset, "hang-up": hang_up, "lose": lose, "lose-reset": lambda x: lose(x, reset=True),
    "cut-status": cut_status, "cut-head": cut_head, "cut-head-at-line": cut_head_at_line, "short-body": short_body, "flip": flip,
    "length-more": length_more, "length-less": length_less, "garbage": garbage, "stall": stall, "stall-in-body": stall_in_body,
    "drip": drip, "endless-body": endless_body, "endless-head": endless_head,
    "500": _error(500, "InternalError", "Internal Server Error"), "500-done": _error(500, "InternalError", effect=True),
    "502-html": lambda x: x.answer(502, "Bad Gateway", b"<html><body>bad gateway</body></html>"),
    "200-html": lambda x: x.answer(200, "OK", b"<html><body>log in</body></html>"),
    "503": _error(503, "SlowDown", "Slow Down"), "503-done": _error(503, "SlowDown", effect=True),
    "429": _error(429, "TooManyRequests", "Too Many Requests"), "timeout": _error(400, "RequestTimeout", "Bad Request"),
    "skewed": _error(403, "RequestTimeTooSkewed", "Forbidden"), "expired": _error(400, "ExpiredToken", "Bad Request"),
    "conflict": _error(409, "ConditionalRequestConflict", "Conflict"), "no-upload": _error(404, "NoSuchUpload", "Not Found"),
    "denied": _error(403, "AccessDenied", "Forbidden"),
    "200-error": _error(200, "InternalError", "OK"), "200-error-done": _error(200, "InternalError", "OK", effect=True),
}


# --- The proxy ------------------------------------------------------------------------------------------------------------

class Rule:
    """What is to fail: from the nth request that fits on, `times` of them (None: all), or each with a chance of its own."""

    def __init__(self, fault, kind=None, nth=1, times=1, match=None, chance=None, seed=0):
        self.name = fault if isinstance(fault, str) else fault.__name__
        self.fault = FAULTS[fault] if isinstance(fault, str) else fault
        self.kinds = {kind} if isinstance(kind, str) else kind
        assert self.kinds is None or self.kinds <= set(KINDS), kind
        self.nth, self.times, self.match, self.chance = nth, times, match and re.compile(match), chance
        self.random = random.Random(seed)
        self.seen = self.fired = 0

    def applies(self, request):
        if self.kinds and request.kind not in self.kinds or self.match and not self.match.search(request.key):
            return False
        self.seen += 1
        if self.times is not None and self.fired >= self.times:
            return False
        if self.random.random() >= self.chance if self.chance is not None else self.seen < self.nth:
            return False
        self.fired += 1
        return True


class FaultProxy:
    """upstream: (host, port). latency: seconds that each request waits before it is sent on."""

    def __init__(self, upstream, latency=0.0):
        self.upstream, self.latency = upstream, latency
        self.lock, self.ended = threading.Lock(), threading.Event()
        self.wires, self.errors, self.down_until, self.port = set(), [], 0.0, 0
        self.clear()
        self.listen()
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        self.listener.close()
        self.drop_all()
        assert not self.errors, self.errors

    def fail(self, fault, **when):
        """Adds a rule, see Rule; the first that applies to a request has it. The rule counts in `fired` how often it did."""
        rule = Rule(fault, **when)
        with self.lock:
            self.rules.append(rule)
        return rule

    def clear(self):
        """Forgets rules, requests and counts; what goes on goes on."""
        with self.lock:
            self.rules, self.requests, self.counts, self.connections = [], [], collections.Counter(), 0

    def sleep(self, seconds, client=None):
        """Not longer than the proxy, or the client, is there."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self.ended.wait(min(left, 0.05)):
            if client and select.select([client.socket], [], [], 0)[0]:
                client.more()  # raises if it has gone

    def go_down(self, seconds):
        self.down_until = time.monotonic() + seconds
        self.drop_all()

    def drop_all(self):
        for wire in list(self.wires):
            wire.abort()

    def listen(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(128)

    def accept(self):
        while not self.ended.is_set():
            if (left := self.down_until - time.monotonic()) > 0:
                self.listener.close()
                self.ended.wait(left)
                self.listen()
            if not select.select([self.listener], [], [], 0.02)[0] or time.monotonic() < self.down_until:
                continue
            wire = Wire(self.listener.accept()[0])
            with self.lock:
                self.connections += 1
                self.wires.add(wire)
            threading.Thread(target=self.serve, args=(wire, self.connections), daemon=True).start()

    def serve(self, client, connection):
        """One client connection, to its end."""
        servers = []

        def upstream():
            if not servers:
                try:
                    servers.append(Wire(socket.create_connection(self.upstream, 30)))
                except OSError as error:
                    raise Gone from error
                servers[0].socket.settimeout(300)
                self.wires.add(servers[0])
            return servers[0]

        try:
            while not self.ended.is_set():
                self.one(client, upstream, connection)
        except Gone:
            pass
        except Exception as error:  # of a test's own fault, or ours: it ends the test
            self.errors.append(error)
        for wire in (client, *servers):
            self.wires.discard(wire)
            wire.close()

    def one(self, client, upstream, connection):
        head = client.line_end(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
        path, _, query = target.partition("?")
        query, headers = dict(urllib.parse.parse_qsl(query, keep_blank_values=True)), headers_of(head)
        with self.lock:
            kind = kind_of(method, path, query)
            request = Request(len(self.requests) + 1, kind, method, path, query, headers, head, connection=connection)
            self.requests.append(request)
            self.counts[kind] += 1
            rule = next((rule for rule in self.rules if rule.applies(request)), None)
            request.fault = rule and rule.name
        if headers.get("expect", "").lower() == "100-continue":
            client.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.raw += client.body(headers)
        if self.latency:
            self.sleep(self.latency)
        exchange = Exchange(self, client, upstream, request)
        (rule.fault if rule else Exchange.pass_on)(exchange)
        if exchange.last:
            raise Gone
