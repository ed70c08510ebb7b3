"""gristmill doctor: what a run needs of source and table, tried, with what to do about each thing that fails."""
import os

import pytest

import harness
from conftest import as_nobody

PROBES = ("doctor-", "probe-")


def doctor(job, *arguments, status=0, **options):
    return harness.gristmill("doctor", job, *arguments, "--json", status=status, **options)


def results(result, place):
    return {step["step"]: step["result"] for step in result.json["steps"] if step["place"] == place}


def step(result, place, name):
    return next(s for s in result.json["steps"] if (s["place"], s["step"]) == (place, name))


def test_directories(tiny_job, source, table):
    harness.write(source / "a.json", harness.lines([harness.tiny(1)]))
    table.mkdir()
    result = doctor(tiny_job, "--source", source, "--table", table)
    assert results(result, "source") == {"list": "ok"}
    assert results(result, "table") == {"list": "ok", "write": "ok", "room": "ok"}
    assert [path for path in table.rglob("*") if path.is_file()] == []


def test_a_table_that_is_not_there_yet(tiny_job, source, table):
    result = doctor(tiny_job, "--source", source, "--table", table)
    assert results(result, "table") == {"open": "note"}
    assert not table.exists()


def test_a_source_that_is_not_there(tiny_job, tmp_path, table):
    result = doctor(tiny_job, "--source", tmp_path / "none", "--table", table, status=1)
    assert results(result, "source") == {"open": "FAIL"} and result.json["faults"] == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_table_that_may_not_be_written(tiny_job, source, table):
    table.mkdir()
    for folder in [table, *table.parents]:
        folder.chmod(0o755)
    result = doctor(tiny_job, "--source", source, "--table", table, status=1, before=as_nobody)
    assert results(result, "table")["write"] == "FAIL" and step(result, "table", "write")["advice"]


def test_s3(tiny_job, any_s3):
    any_s3.put("in/a.json", harness.lines([harness.tiny(1)]))
    result = doctor(tiny_job, "--source", any_s3.url("in/"), "--table", any_s3.url("lake/"), env=any_s3.environment())
    assert results(result, "source") == {"endpoint": "ok", "credentials": "ok", "list": "ok", "read": "ok"}
    table = results(result, "table")
    assert table.pop("lifecycle") == "note" and set(table.values()) == {"ok"}
    assert set(table) == {"endpoint", "credentials", "list", "write", "read back", "delete", "put-if-absent", "multipart"}
    assert list(any_s3.sizes()) == ["in/a.json"] and any_s3.uploads() == []
    assert "AWS_ACCESS_KEY_ID" in step(result, "source", "credentials")["text"]
    assert any_s3.server.secret not in result.out + result.err


def test_lifecycle_rule(tiny_job, minio):
    bucket = minio.make_bucket()
    rule = {"ID": "uploads", "Status": "Enabled", "Filter": {"Prefix": ""}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
            "Expiration": {"Days": 3650}}
    try:
        bucket.client.put_bucket_lifecycle_configuration(Bucket=bucket.name, LifecycleConfiguration={"Rules": [rule]})
    except Exception as error:  # this server takes no such rule
        pytest.xfail(str(error)) if "NotImplemented" in str(error) else None
        raise
    result = doctor(tiny_job, "--source", bucket.url("in/"), "--table", bucket.url("lake/"), env=bucket.environment())
    assert step(result, "table", "lifecycle")["result"] in ("ok", "note")


def test_what_fails_says_what_to_do(tiny_job, s3):
    arguments = ("--source", s3.url("in/"), "--table", s3.url("lake/"))
    wrong = doctor(tiny_job, *arguments, status=1, env=s3.environment(AWS_SECRET_ACCESS_KEY="wrong/but+never/SHOWN"))
    assert results(wrong, "source")["list"] == "FAIL" and "secret key" in step(wrong, "source", "list")["advice"]
    assert "SHOWN" not in wrong.out + wrong.err
    nowhere = doctor(tiny_job, "--source", "s3://there-is-none/in/", "--table", s3.url("lake/"), status=1, env=s3.environment())
    assert "there is no bucket there-is-none" in step(nowhere, "source", "list")["text"]
    silent = doctor(tiny_job, *arguments, status=1, env=s3.environment(AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_MAX_ATTEMPTS="2"))
    assert "127.0.0.1:9" in step(silent, "source", "list")["text"]


def test_without_credentials(tiny_job, s3):
    env = {name: value for name, value in s3.environment().items() if "KEY" not in name}
    result = doctor(tiny_job, "--source", s3.url("in/"), "--table", s3.url("lake/"), status=1, env={**env, "AWS_EC2_METADATA_DISABLED": "true"})
    failed = [s for s in result.json["steps"] if s["result"] == "FAIL"]
    assert failed and all(s["advice"] for s in failed)


def test_text(tiny_job, s3):
    s3.put("in/a.json", harness.lines([harness.tiny(1)]))
    result = harness.gristmill("doctor", tiny_job, "--source", s3.url("in/"), "--table", s3.url("lake/"), env=s3.environment())
    assert "A run has what it needs." in result.out and "put-if-absent" in result.out
