"""What requests carry besides their signature: who pays, how objects are encrypted, checksums. Seen by a proxy, since the test
servers do not keep keys of KMS: it answers in their place what they would refuse."""
import base64
import struct

import pytest

import harness
from fault_proxy import FaultProxy

MAKES_OBJECTS = ("put", "create")


def crc32c(data):
    """Castagnoli, bit by bit, from its polynomial."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def run(bucket, tmp_path, source="", table="", status=0):
    text = harness.TINY_JOB.replace("location: ./input,", f"location: {bucket.url('in/')}, {source}".rstrip(", ") + ",")
    text = text.replace("  location: ./table\n", f"  location: {bucket.url('lake/')}\n{table}")
    job = harness.write(tmp_path / "job.yaml", text.encode())
    with FaultProxy(bucket.server.address) as proxy:
        result = harness.gristmill("run", job, "--json", env=bucket.environment(AWS_ENDPOINT_URL=proxy.url), status=status)
        return result, list(proxy.requests)


@pytest.fixture
def bucket(s3):
    s3.put("in/a.json", harness.lines([harness.tiny(i) for i in range(10)]))
    return s3


def test_the_requester_pays_for_the_source(bucket, tmp_path):
    _, requests = run(bucket, tmp_path, source="requester_pays: true")
    source = [r for r in requests if r.key.startswith("in/") or r.query.get("prefix") == "in/"]
    others = [r for r in requests if r not in source]
    assert source and all(r.headers.get("x-amz-request-payer") == "requester" for r in source)
    assert others and not any("x-amz-request-payer" in r.headers for r in others)


@pytest.mark.parametrize("table,expected", [
    ("", {}),
    ("  encryption: AES256\n", {"x-amz-server-side-encryption": "AES256"}),
    ("  encryption: aws:kms\n", {"x-amz-server-side-encryption": "aws:kms"}),
    ("  encryption: aws:kms\n  kms_key: alias/lake\n",
     {"x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-aws-kms-key-id": "alias/lake"}),
])
def test_encryption(bucket, tmp_path, table, expected):
    _, requests = run(bucket, tmp_path, table=table, status=None)
    makers = [r for r in requests if r.kind in MAKES_OBJECTS]
    assert makers
    for request in requests:
        found = {name: value for name, value in request.headers.items() if name.startswith("x-amz-server-side-encryption")}
        assert found == (expected if request.kind in MAKES_OBJECTS else {}), request


def test_checksums(bucket, tmp_path):
    result, requests = run(bucket, tmp_path)
    puts = [r for r in requests if r.kind == "put"]
    assert result.json["rows_written"] == 10 and puts
    for request in puts:
        body = request.raw.partition(b"\r\n\r\n")[2]
        assert base64.b64decode(request.headers["x-amz-checksum-crc32c"]) == struct.pack(">I", crc32c(body)), request
    for key in bucket.sizes("lake/"):
        head = bucket.client.head_object(Bucket=bucket.name, Key=key, ChecksumMode="ENABLED")
        assert head.get("ChecksumCRC32C"), key


def test_puts_that_must_not_overwrite_say_so(bucket, tmp_path):
    _, requests = run(bucket, tmp_path)
    for request in requests:
        if request.kind in ("put", "complete") and not request.key.endswith((".staged", "_last_checkpoint")):
            assert request.headers.get("if-none-match") == "*", request.key
