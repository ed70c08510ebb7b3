"""Services that give out AWS credentials, as far as they can be told from the real ones by a client: the Security Token
Service, the container endpoint of ECS and EKS, and the instance metadata service (IMDSv2) of EC2. Wire formats are those of
the AWS documentation. Listens on loopback only."""
import hashlib
import hmac
import http.server
import json
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

ROLE = "/latest/meta-data/iam/security-credentials/"


@dataclass
class Request:
    method: str
    path: str
    headers: dict  # names in lower case
    body: bytes

    @property
    def form(self):
        return dict(urllib.parse.parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=True))


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict = field(default_factory=dict)
    cut: int | None = None  # so many bytes of the body, then the connection is closed
    delay: float = 0


class Stub:
    """A server whose `answer`, a function of a Request, gives an Answer; `requests` are those that came."""

    def __init__(self, answer):
        self.answer, self.requests = answer, []
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self):
                length = int(self.headers.get("Content-Length") or 0)
                request = Request(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, self.rfile.read(length))
                stub.requests.append(request)
                answer = stub.answer(request)
                time.sleep(answer.delay)
                self.send_response(answer.status)
                for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body[:answer.cut])
                self.close_connection = answer.cut is not None

            do_GET = do_PUT = do_POST = serve

            def date_time_string(self, timestamp=None):
                return super().date_time_string(time.time() + stub.ahead if timestamp is None else timestamp)

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # a client that has hung up

        self.ahead = 0  # of the Date that is sent
        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.server.shutdown()
        self.server.server_close()


def in_turn(*answers):
    """Gives one answer after the other, the last for ever. An answer may be a function of the request."""
    left = list(answers)

    def give(request):
        answer = left.pop(0) if len(left) > 1 else left[0]
        return answer(request) if callable(answer) else answer

    return give


def iso(seconds):
    """The time in so many seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


@dataclass(frozen=True)
class Keys:
    access: str
    secret: str
    token: str = ""


# --- Wire formats ------------------------------------------------------------------------------------------------------

def document(keys, seconds=3600, **more):
    """What the container endpoint and the metadata service answer with."""
    body = {"AccessKeyId": keys.access, "SecretAccessKey": keys.secret, "Token": keys.token, "Expiration": iso(seconds), **more}
    return Answer(body=json.dumps({k: v for k, v in body.items() if v is not ...}).encode(), headers={"Content-Type": "application/json"})


def assumed(action, keys, seconds=3600):
    parts = {"AccessKeyId": keys.access, "SecretAccessKey": keys.secret, "SessionToken": keys.token, "Expiration": iso(seconds)}
    return Answer(body=f"""<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <{action}Result>
    <AssumedRoleUser>
      <AssumedRoleId>AROA123EXAMPLE123:session</AssumedRoleId>
      <Arn>arn:aws:sts::123456789012:assumed-role/demo/session</Arn>
    </AssumedRoleUser>
    <Credentials>
{''.join(f'      <{name}>{escape(value)}</{name}>' + chr(10) for name, value in parts.items())}    </Credentials>
    <PackedPolicySize>6</PackedPolicySize>
  </{action}Result>
  <ResponseMetadata><RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId></ResponseMetadata>
</{action}Response>
""".encode(), headers={"Content-Type": "text/xml"})


def refused(status, code, message):
    return Answer(status, f"""<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message></Error>
  <RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId>
</ErrorResponse>
""".encode(), {"Content-Type": "text/xml"})


def signed_by(request, keys, region, service="sts"):
    """Checks a Signature Version 4, by the description in AWS's documentation."""
    scheme, _, rest = request.headers["authorization"].partition(" ")
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    names = parts["SignedHeaders"].split(";")
    stamp = request.headers["x-amz-date"]
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    assert scheme == "AWS4-HMAC-SHA256" and parts["Credential"] == f"{keys.access}/{scope}"
    assert {"host", "x-amz-date"} <= set(names) and names == sorted(names)
    assert request.headers.get("x-amz-security-token", "") == keys.token
    assert not keys.token or "x-amz-security-token" in names
    canonical = "\n".join([request.method, request.path, "", *(f"{name}:{request.headers[name].strip()}" for name in names), "",
                           ";".join(names), hashlib.sha256(request.body).hexdigest()])
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + keys.secret).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest() == parts["Signature"]


class Sts:
    """Assumes any role of `roles`, {arn: (keys that may, keys that are given)}; tokens, {arn: (token that may, keys)}."""

    def __init__(self, roles=None, tokens=None, region="us-east-1", seconds=3600):
        self.roles, self.tokens, self.region, self.seconds = roles or {}, tokens or {}, region, seconds

    def __call__(self, request):
        form = request.form
        assert request.method == "POST" and request.path == "/" and form["Version"] == "2011-06-15"
        assert request.headers["content-type"].startswith("application/x-www-form-urlencoded")
        assert 2 <= len(form["RoleSessionName"]) <= 64
        if form["Action"] == "AssumeRole":
            by, keys = self.roles[form["RoleArn"]]
            if not signed_by(request, by, self.region):
                return refused(403, "SignatureDoesNotMatch", "The request signature we calculated does not match.")
        else:
            token, keys = self.tokens[form["RoleArn"]]
            assert form["Action"] == "AssumeRoleWithWebIdentity" and "authorization" not in request.headers
            if form["WebIdentityToken"] != token:
                return refused(400, "InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider")
        return assumed(form["Action"], keys, self.seconds)


class Instance:
    """The metadata service of version 2: no token, no answer."""

    def __init__(self, document, role="app-role"):
        self.document, self.role, self.tokens = document, role, set()

    def __call__(self, request):
        if request.method == "PUT" and request.path == "/latest/api/token":
            assert 1 <= int(request.headers["x-aws-ec2-metadata-token-ttl-seconds"]) <= 21600
            self.tokens.add(token := f"AQAEA-token-{len(self.tokens)}==")
            return Answer(body=token.encode(), headers={"Content-Type": "text/plain"})
        if request.headers.get("x-aws-ec2-metadata-token") not in self.tokens:
            return Answer(401)
        if request.path == ROLE:
            return Answer(body=self.role.encode())
        if request.path == ROLE + self.role:
            return self.document(request) if callable(self.document) else self.document
        return Answer(404)
