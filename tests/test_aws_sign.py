"""Our signatures against botocore's, on random requests with odd bytes. tests/unit/aws/sign_tool.c drives our side."""
import datetime
import random
import subprocess
import urllib.parse

import harness
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

REQUESTS = 1000
# Python takes more characters for white space than HTTP has; of those only ours are used.
TEXT = "abcXYZ019 \t-._~!$&'()*+,;=:@/?#[]%\"<>\\^`{|}\u00e9\u4e2d\U0001f600\u0301"
HEADERS = ["X-Amz-Meta-A", "x-amz-meta-b", "X-AMZ-META-A-B", "Range", "Content-Type", "If-None-Match", "x-amz-acl", "Content-MD5"]


def text(rng, most, least=0):
    return "".join(rng.choice(TEXT) for _ in range(rng.randint(least, most)))


def raw(rng, most):
    """Bytes as keys may have them, not even UTF-8, with many slashes and dots."""
    return b"".join(rng.choice([b"/", b".", b"..", b"a", b"%", b"+", b" ", bytes([rng.randint(1, 255)])])
                    for _ in range(rng.randint(0, most)))


def random_request(rng):
    s3 = rng.random() < 0.5
    when = rng.randint(0, 4102444800)
    headers = [(rng.choice(HEADERS), text(rng, 20)) for _ in range(rng.randint(0, 6))]
    headers += [("Host", "bucket.example.com:9000"),
                ("X-Amz-Date", datetime.datetime.fromtimestamp(when, datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")),
                ("X-Amz-Content-SHA256", rng.choice(["UNSIGNED-PAYLOAD", "e3b0c44298fc1c149afbf4c8996fb924" * 2]))]
    if rng.random() < 0.3:
        headers.append(("X-Amz-Security-Token", text(rng, 200, 1).strip() or "t"))
    rng.shuffle(headers)
    return {
        "service": "s3" if s3 else rng.choice(["sts", "glue", "sqs"]), "region": rng.choice(["us-east-1", "eu-west-1"]),
        "method": rng.choice(["GET", "PUT", "POST", "DELETE", "HEAD"]), "path": b"/" + raw(rng, 30), "when": when,
        "query": [(text(rng, 6), text(rng, 8)) for _ in range(rng.choice([0, 1, 2, 5, 20]))], "headers": headers,
        "access": "AKID" + text(rng, 5).strip(), "secret": text(rng, 60, 1),
    }


def botocores(case):
    headers = dict(case["headers"])
    path = urllib.parse.quote(case["path"], safe="/~")
    request = AWSRequest(method=case["method"], url="https://bucket.example.com:9000" + path, params=case["query"])
    for name, value in case["headers"]:
        request.headers.add_header(name, value)
    request.context["timestamp"] = headers["X-Amz-Date"]
    kind = S3SigV4Auth if case["service"] == "s3" else SigV4Auth
    auth = kind(Credentials(case["access"], case["secret"]), case["service"], case["region"])
    names = auth.signed_headers(auth.headers_to_sign(request))
    signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    query = auth.canonical_query_string(request)
    return path, query, f"AWS4-HMAC-SHA256 Credential={auth.scope(request)}, SignedHeaders={names}, Signature={signature}"


def line_of(case):
    hexed = lambda value: (value if isinstance(value, bytes) else value.encode()).hex()  # noqa: E731
    fields = [hexed(case["service"]), hexed(case["region"]), hexed(case["method"]), hexed(case["path"]),
              hexed(dict(case["headers"])["X-Amz-Content-SHA256"]), str(case["when"]), hexed(case["access"]), hexed(case["secret"])]
    for kind, pairs in (("q", case["query"]), ("h", case["headers"])):
        for name, value in pairs:
            fields += [kind, hexed(name), hexed(value)]
    return "\t".join(fields) + "\n"


@pytest.mark.parametrize("seed", [1, 2, random.SystemRandom().randrange(2**40)])
def test_same_as_botocore(seed):
    rng = random.Random(seed)
    cases = [random_request(rng) for _ in range(REQUESTS)]
    program = harness.BINARY.parent / "tests/unit/aws/sign_tool"
    done = subprocess.run([program], input="".join(map(line_of, cases)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3 * len(cases)
    for i, case in enumerate(cases):
        assert tuple(lines[3 * i:3 * i + 3]) == botocores(case), (seed, i, case)
