"""What a run on S3 asks for: pinned, told in docs/s3.md, and seen by a proxy as the program counts it. And uploads that nobody
completed: they are swept when they are old, and ours."""
import os
import re

import pytest

import harness
from fault_proxy import FaultProxy

JOB = harness.TINY_JOB.replace("  partition_by:", "  unique_by: [id]\n  partition_by:")
KINDS = ("list", "get", "head", "put", "delete", "multipart")
MULTIPART = ("create", "part", "complete", "abort")


@pytest.fixture
def job(tmp_path):
    return harness.write(tmp_path / "job.yaml", JOB.encode())


def run(bucket, job, proxy=None):
    more = {"AWS_ENDPOINT_URL": proxy.url} if proxy else {}
    return harness.gristmill("run", job, "--source", bucket.url("in/"), "--table", bucket.url("lake/"), "--threads", "1", "--json",
                             env=bucket.environment(**more))


def put(bucket, first, end):
    for i in range(first, end):
        bucket.put(f"in/{i:07}.json", harness.lines([harness.tiny(i)]))


def counted(result):
    return {kind: result.json["requests"][kind] for kind in KINDS}


# A table that had five runs of an object each, on one day. Those since the newest checkpoint and the newest bookmark (none to nine of
# each) take one GET more: here five and five.
PINNED = {
    "nothing new": {"list": 5, "get": 11, "head": 1, "put": 0, "delete": 0, "multipart": 0},
    "one new object": {"list": 11, "get": 19, "head": 1, "put": 9, "delete": 2, "multipart": 0},
    "1,000 new objects": {"list": 13, "get": 1018, "head": 1, "put": 9, "delete": 2, "multipart": 0},
}


@pytest.fixture(scope="module")
def asked(versitygw, tmp_path_factory):
    job = harness.write(tmp_path_factory.mktemp("requests") / "job.yaml", JOB.encode())
    found = {}
    for what, new in (("nothing new", 0), ("one new object", 1), ("1,000 new objects", 1000)):
        bucket = versitygw.make_bucket()
        for i in range(5):
            put(bucket, i, i + 1)
            run(bucket, job)
        put(bucket, 5, 5 + new)
        with FaultProxy(bucket.server.address) as proxy:
            result = run(bucket, job, proxy)
            assert result.json["inputs"] == new
            found[what] = counted(result), dict(proxy.counts)
    return found


@pytest.mark.parametrize("what", PINNED)
def test_a_run_asks_for_little(asked, what):
    assert asked[what][0] == PINNED[what]


@pytest.mark.parametrize("what", PINNED)
def test_the_count_is_true(asked, what):
    told, seen = asked[what]
    seen["delete"] = seen.get("delete", 0) + seen.pop("multi-delete", 0)
    seen["multipart"] = sum(seen.pop(kind, 0) for kind in MULTIPART)
    assert {kind: seen.get(kind, 0) for kind in KINDS} == told


def test_the_docs_tell_the_same(asked):
    page = (harness.ROOT / "docs/s3.md").read_text()
    section = page.split("<!-- begin: requests -->")[1].split("<!-- end: requests -->")[0]
    rows = {cells[0]: [int(n.replace(",", "")) for n in cells[1:1 + len(KINDS)]]
            for line in section.splitlines() if re.match(r"\| [^|]*new", line)
            for cells in [[cell.strip() for cell in line.strip("|").split("|")]]}
    assert rows == {what: list(counts.values()) for what, counts in PINNED.items()}


def test_the_report_tells_them(s3, job):
    put(s3, 0, 2)
    result = harness.gristmill("run", job, "--source", s3.url("in/"), "--table", s3.url("lake/"), env=s3.environment())
    assert re.search(r"requests \d+: \d+ list, \d+ get", result.out)


def begin_upload(bucket, key, days_ago):
    """An upload that was begun so long ago, as the server's disk has it."""
    made = bucket.client.create_multipart_upload(Bucket=bucket.name, Key=key)
    for folder in bucket.server.root.rglob(made["UploadId"]):
        then = os.stat(folder).st_mtime - days_ago * 86400
        os.utime(folder, (then, then))
    return key


def test_abandoned_uploads_are_swept(s3, job):
    put(s3, 0, 1)
    run(s3, job)
    name = next(key for key in s3.sizes("lake/day=") if key.endswith(".parquet"))
    old = begin_upload(s3, name.replace("-00000-0000-", "-00001-0000-"), 8)
    young = begin_upload(s3, name.replace("-00000-0000-", "-00002-0000-"), 6)
    foreign = begin_upload(s3, "lake/day=2024-03-10/part-00000-of-spark.parquet", 80)
    beside = begin_upload(s3, "other/" + name.removeprefix("lake/"), 80)
    assert set(s3.uploads()) == {old, young, foreign, beside}
    for i in range(1, 13):  # until a checkpoint was due, with which they are looked for
        put(s3, i, i + 1)
        run(s3, job)
    assert set(s3.uploads()) == {young, foreign, beside}
