"""read = written + duplicates + filtered + quarantined, for the run and for every object, in records and in bytes."""
import gzip
import json

import harness


def test_sample_balances(sample_table, sample):
    table, summary = sample_table
    harness.assert_balanced(summary)
    assert summary["committed"] is True
    assert summary["inputs"] == sum(1 for p in sample.rglob("*.gz"))
    assert summary["bytes_in"] == sum(p.stat().st_size for p in sample.rglob("*.gz"))
    assert summary["bytes_raw"] == sum(len(gzip.decompress(p.read_bytes())) for p in sample.rglob("*.gz"))
    assert len(harness.read_table(table)) == summary["rows_written"]
    assert len(harness.quarantine(table)) == summary["quarantined"]
    assert summary["duplicates"] > 0 and summary["quarantined"] > 0, "the sample should hold some of each"


def test_every_object_balances(sample_table):
    _, summary = sample_table
    for balance in summary.get("objects", []):
        harness.assert_balanced(balance)


def test_files_are_those_on_disk(sample_table):
    table, summary = sample_table
    listed = {f["path"]: f["bytes"] for f in summary["files"]}
    assert listed == {str(p.relative_to(table)): p.stat().st_size for p in harness.data_files(table)}
    for file in summary["files"]:
        assert file["partition"] == harness.partition_of(table, table / file["path"])


def test_one_of_each_fate(source, table, tmp_path):
    """One run that holds every kind of record, counted by hand."""
    job = tmp_path / "job.yaml"
    text = harness.MAIN_JOB.read_text()
    at = text.index("\ncolumns:")
    job.write_text(f"{text[:at]}\nwhere: \"stack <> 'dev'\"{text[at:]}")
    documents = [
        harness.access_record(1), harness.access_record(2), harness.access_record(1),         # the third is a duplicate
        harness.access_record(3, stack="dev"), harness.access_record(4, stack=None),          # false and null: filtered
        harness.access_record(5, timestamp=None),                                             # no partition: quarantined
        harness.access_record(6, sessionId=None), harness.access_record(6, sessionId=None),   # no key: never duplicates
        harness.access_record(7, sessionId=""), harness.access_record(7, sessionId=""),
        harness.access_record(1, timestamp=harness.T0 + harness.DAY_MS),                      # another partition: another row
    ]
    harness.write_gz(source / "a.gz", harness.lines(documents) + b'{"payload":{"sessionId":"cut"\n' + harness.dump(harness.access_record(8)))
    summary = harness.run(job, source, table).json
    expected = {"records_read": 13, "rows_written": 8, "duplicates": 1, "filtered": 2, "quarantined": 2}
    assert {k: summary[k] for k in expected} == expected
    harness.assert_balanced(summary)


def test_first_in_plan_order_wins(source, table):
    """Of records with one key the first in bytewise order of object keys, then by position, is kept."""
    for name, host in (("b", "third"), ("a/z", "second"), ("B", "first"), ("é", "last")):
        harness.write(source / f"{name}.json", harness.lines([harness.access_record(1, host=host), harness.access_record(1, host="x")]))
    summary = harness.run(harness.MAIN_JOB, source, table, "--threads", "4").json
    assert summary["duplicates"] == 7
    assert [row["host"] for row in harness.read_table(table)] == ["first"]


def test_empty_source(source, table):
    summary = harness.run(harness.MAIN_JOB, source, table).json
    assert summary["records_read"] == summary["rows_written"] == 0
    assert harness.data_files(table) == [] if table.exists() else True


def test_dry_run_stores_nothing(sample, table):
    summary = harness.run(harness.MAIN_JOB, sample, table, "--dry-run").json
    harness.assert_balanced({k: v for k, v in summary.items() if k != "files"})
    assert summary["committed"] is False
    assert not table.exists() or not any(p.is_file() for p in table.rglob("*"))


def test_limit_takes_the_first_objects(sample, sample_table, table):
    first = sorted((p for p in sample.rglob("*.gz")), key=lambda p: str(p.relative_to(sample)).encode())[0]
    summary = harness.run(harness.MAIN_JOB, sample, table, "--limit", "1").json
    assert summary["inputs"] == 1 and summary["bytes_in"] == first.stat().st_size


def test_json_stands_alone_on_stdout(sample, table):
    result = harness.run(harness.MAIN_JOB, sample, table, "--limit", "1")
    assert len(result.out.strip().splitlines()) == 1
    json.loads(result.out)
