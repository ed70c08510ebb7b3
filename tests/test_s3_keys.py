"""Keys that AWS takes and the servers at hand do not, as their disks have no such names: a source that answers as S3 does, and
checks every signature with botocore's own."""
import hashlib
import re
import urllib.parse
from xml.sax.saxutils import escape

import botocore.auth
import botocore.awsrequest
import botocore.credentials

import harness
from aws_stub import Answer, Stub

ACCESS, SECRET, REGION = "stub", "of/the+stub=", "us-east-1"
PAGE = 7
KEYS = [
    "a//b", "//", "///x", "/absolute", "dir/", "dir//", "x/", "a b//c", "%2F", "%", "a%", "%00", "%%", "+", " ", "  ", "\x01", "\x1f", "\x7f", "\t", "\n",
    "\r\n", "\u0085", "\u2028", "\ufffd", "\uffff", "\ue000", "\U0010ffff", "\U0001f600", "e\u0301", "é", "&", "<", "]]>", "&amp;", "'", '"', "?", "?list-type=2",
    "#", "#x", ";", ":", "a:b", "@", "=", "a=b&c=d", "\\", "a\\b", "|", "^", "`", "{}", "[]", "*", "!", "$", ",", "(", ")", "~a", "-", "--", "x" * 1000,
    "é" * 500, "🜁" * 250, "in/in/", "a/./b", "a/../b", "./x", "../x", "..", ".", ".hidden", "_x", "con", "NUL", "x.", "x ", "a/ /b",
]


def signature_is_good(request):
    """As botocore computes it for the same request with the same time."""
    found = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d+/([^/]+)/s3/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})",
                         request.headers.get("authorization", ""))
    if not found or found[1] != ACCESS or found[2] != REGION:
        return False
    signed = {name: request.headers[name] for name in found[3].split(";")}
    again = botocore.awsrequest.AWSRequest(request.method, f"http://{request.headers['host']}{request.path}", signed, request.body)
    again.context["timestamp"] = request.headers["x-amz-date"]
    auth = botocore.auth.S3SigV4Auth(botocore.credentials.Credentials(ACCESS, SECRET), "s3", REGION)
    content = request.headers["x-amz-content-sha256"]
    assert content in ("UNSIGNED-PAYLOAD", hashlib.sha256(request.body).hexdigest())
    return auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again) == found[4]


class Objects:
    """Key -> bytes, and what a source is asked."""

    def __init__(self, objects):
        self.objects, self.refused = {key.encode(): data for key, data in objects.items()}, []

    def __call__(self, request):
        path, _, query = request.path.partition("?")
        if not signature_is_good(request):
            self.refused.append(request.path)
            return Answer(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
        assert request.method == "GET" and path.startswith("/bucket"), request
        if "list-type" in query:
            return self.listing(urllib.parse.parse_qs(query, keep_blank_values=True, errors="surrogateescape"))
        key = urllib.parse.unquote_to_bytes(path.removeprefix("/bucket/"))
        if key not in self.objects:
            return Answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        return Answer(200, self.objects[key], headers_of(key, self.objects[key]))

    def listing(self, query):
        assert query["encoding-type"] == ["url"]
        after = max(query.get("start-after", [""])[0].encode(), bytes.fromhex(query.get("continuation-token", [""])[0]))
        keys = sorted(k for k in self.objects if k.startswith(query["prefix"][0].encode()) and k > after)
        page, more = keys[:PAGE], len(keys) > PAGE
        contents = "".join(
            f"<Contents><Key>{urllib.parse.quote_plus(k, safe='/')}</Key><LastModified>2024-03-10T12:00:00.000Z</LastModified>"
            f"<ETag>{escape(headers_of(k, self.objects[k])['ETag'])}</ETag><Size>{len(self.objects[k])}</Size></Contents>" for k in page)
        token = f"<NextContinuationToken>{page[-1].hex()}</NextContinuationToken>" if more else ""
        return Answer(200, f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{contents}{token}"
                           "<EncodingType>url</EncodingType></ListBucketResult>".encode())


def headers_of(key, data):
    return {"ETag": f'"{hashlib.md5(key + data).hexdigest()}"', "Last-Modified": "Sun, 10 Mar 2024 12:00:00 GMT"}


def left_out(key):
    """As documented: hidden names, and such as say that a file is unfinished."""
    return any(part[:1] in (".", "_") for part in key.split("/")) or key.endswith("~")


def test_every_key_that_aws_takes(tmp_path, tiny_job):
    objects = {f"in/{key}": harness.lines([harness.tiny(number, s=key)]) for number, key in enumerate(KEYS)}
    objects["in/marker/"] = b""
    objects["ins/other"] = objects["in"] = harness.lines([harness.tiny(9999)])
    bucket = Objects(objects)
    with Stub(bucket) as stub:
        environment = {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": REGION, "AWS_ENDPOINT_URL": stub.url}
        for inputs in (True, False):
            result = harness.run(tiny_job, "s3://bucket/in/", tmp_path / "table", env=environment)
            assert (result.json["inputs"] > 0) is inputs
    assert not bucket.refused
    rows = {row["id"]: row["s"] for row in harness.read_table(tmp_path / "table")}
    assert rows == {number: key for number, key in enumerate(KEYS) if not left_out(key)}
