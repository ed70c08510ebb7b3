"""Put-if-absent is what exactly-once stands on. Several runners at once on a table that is not there yet, on each server; and a
server whose put-if-absent does not hold is refused, by name and reason."""
import pytest

import harness
import judge
import s3_scene
import s3_servers
from test_exactly_once import JOB

RUNNERS = 6


@pytest.fixture(params=["versitygw", "minio", "two processes"])
def ways(request, tmp_path):
    """A fresh bucket, and the URLs by which runners get to it."""
    if request.param != "two processes":
        bucket = request.getfixturevalue(request.param).make_bucket()
        yield bucket, [bucket.server.url]
        return
    with s3_servers.Versitygw(tmp_path / "a") as first, s3_servers.Versitygw(tmp_path / "b", root=first.root) as second:
        yield first.make_bucket(), [first.url, second.url]


def start(bucket, job, url, table="lake/"):
    return harness.Process("run", job, "--source", bucket.url("in/"), "--table", bucket.url(table), "--threads", "1", "--json",
                           env=bucket.environment(AWS_ENDPOINT_URL=url))


def test_many_runners_at_once(ways, tmp_path):
    """One result, no lost work beyond waste."""
    bucket, urls = ways
    job = harness.write(tmp_path / "job.yaml", JOB.encode())
    expected = []
    for number in range(6):
        ids = range(number * 1000, number * 1000 + 1300)
        bucket.put(f"in/{number}.json", harness.lines(harness.tiny(i) for i in ids))
    expected = [(i, "2024-03-10") for i in range(6300)]
    for trial in range(3):
        table = f"lake-{trial}/"
        processes = [start(bucket, job, urls[i % len(urls)], table) for i in range(RUNNERS)]
        results = [process.wait() for process in processes]
        assert all(r.status == 0 for r in results), [str(r) for r in results if r.status != 0]
        committed = [run for r in results for run in r.json["runs"]]
        assert len(committed) == len(set(committed)) and committed
        judge.assert_complete(bucket.tree(table, tmp_path / table), expected, f"trial {trial}")
        assert bucket.uploads() == []


def test_jobs_that_share_a_table(ways, tmp_path):
    """Their inputs overlap: whoever is second finds the keys of the first."""
    bucket, urls = ways
    jobs = [harness.write(tmp_path / f"{name}.yaml", JOB.replace("job: tiny", f"job: {name}").encode()) for name in ("one", "two", "three")]
    for number in range(3):
        bucket.put(f"in/{number}.json", harness.lines(harness.tiny(i) for i in range(number * 500, number * 500 + 800)))
    processes = [start(bucket, job, urls[i % len(urls)]) for i, job in enumerate(jobs * 2)]
    results = [process.wait() for process in processes]
    assert all(r.status == 0 for r in results), [str(r) for r in results if r.status != 0]
    judge.assert_complete(bucket.tree("lake/", tmp_path / "t"), [(i, "2024-03-10") for i in range(1800)])


def test_a_store_whose_put_if_absent_does_not_hold(tmp_path):
    """It is refused before anything is published; several runners at once do not get around that."""
    job = harness.write(tmp_path / "job.yaml", s3_scene.JOB.encode())
    with s3_servers.S3sFs(tmp_path / "s3") as server:
        bucket = server.make_bucket()
        bucket.put("in/a.json", harness.lines([harness.tiny(1)]))
        for _ in range(3):
            results = [process.wait() for process in [start(bucket, job, server.url) for _ in range(3)]]
            for result in results:
                assert result.status == 1, result
                assert "put-if-absent" in result.err or "If-None-Match" in result.err, result
                assert f"s3://{bucket.name}" in result.err or f"127.0.0.1:{server.port}" in result.err, result
        left = bucket.sizes("lake/")
        assert not [key for key in left if "/day=" in key or "/_delta_log/" in key], left


def test_reading_from_it_is_no_fault(tmp_path):
    """Only what is written to must hold it."""
    with s3_servers.S3sFs(tmp_path / "s3") as server:
        bucket = server.make_bucket()
        bucket.put("in/a.json", harness.lines([harness.tiny(1)]))
        job = harness.write(tmp_path / "job.yaml", s3_scene.JOB.encode())
        result = harness.run(job, bucket.url("in/"), tmp_path / "table", env=bucket.environment())
        assert result.json["rows_written"] == 1
