"""The production job's own input/output pairs, through the whole program and back through a foreign reader."""
import json

import pytest

import harness

VECTORS = harness.ROOT / "tests" / "vectors" / "access-record.ndjson"
SQL_JOB = harness.ROOT / "tests" / "jobs" / "access-record-sql.yaml"
DATE_JOBS = sorted(harness.JOBS.glob("access-record*date*.yaml"))


def vectors():
    return [json.loads(line) for line in VECTORS.read_text(encoding="utf-8").splitlines()]


def documents(pairs):
    for number, pair in enumerate(pairs):
        given = {"requestURL": pair.get("request_url", "/repo/v1/version"), "userAgent": pair.get("user_agent")}
        yield harness.access_record(number, method="GET", **given)


def check(rows, pairs):
    by_key = {row["session_id"]: row for row in rows}
    assert len(by_key) == len(pairs)
    wrong = []
    for number, pair in enumerate(pairs):
        row = by_key[harness.access_record(number)["payload"]["sessionId"]]
        if "request_url" in pair:
            normalized = None if pair["normalized"] is None else f"GET {pair['normalized']}"
            wanted = {"request_url": pair["request_url"], "normalized_method_signature": normalized, "entity_id": pair["entity_id"]}
        else:
            wanted = {"user_agent": pair["user_agent"], "client": pair["client"], "client_version": pair["client_version"]}
        actual = {name: row[name] for name in wanted}
        if actual != wanted:
            wrong.append(f"\n  given    {wanted}\n  computed {actual}")
    assert not wrong, f"{len(wrong)} of {len(pairs)} vectors differ:{''.join(wrong[:10])}"


def test_vectors_are_all_there():
    assert len(vectors()) == 3316


@pytest.mark.parametrize("ascii_only", [False, True], ids=["raw-utf8", "escaped"])
def test_native(source, table, ascii_only):
    pairs = vectors()
    data = b"\n".join(harness.dump(d, ascii_only) for d in documents(pairs))
    harness.write_gz(source / "vectors.gz", data)
    summary = harness.run(harness.MAIN_JOB, source, table).json
    assert summary["records_read"] == summary["rows_written"] == len(pairs)
    check(harness.read_table(table), pairs)


def test_sql_expressions(source, table):
    """The same columns written as SQL expressions give the same values."""
    assert SQL_JOB.exists()
    pairs = vectors()
    harness.write_gz(source / "vectors.gz", harness.lines(documents(pairs)))
    harness.run(SQL_JOB, source, table)
    check(harness.read_table(table), pairs)


def test_sql_and_native_agree_on_generated_records(sample, sample_table, tmp_path):
    harness.run(SQL_JOB, sample, tmp_path / "sql")
    ours, sql = harness.read_table(sample_table[0]), harness.read_table(tmp_path / "sql")
    common = [name for name in sql[0] if name in ours[0]]
    assert {"normalized_method_signature", "client", "client_version", "entity_id", "instance"} <= set(common)
    pick = lambda rows: harness.in_order([{name: row[name] for name in common} for row in rows])  # noqa: E731
    assert pick(ours) == pick(sql)


def test_record_date_variant(sample, sample_table, tmp_path):
    """The variant that production has: one date partition, the same rows otherwise."""
    assert DATE_JOBS, "no jobs/access-record*date*.yaml"
    harness.run(DATE_JOBS[0], sample, tmp_path / "dates")
    expected = []
    for row in harness.read_table(sample_table[0]):
        row = dict(row)
        row["record_date"] = "-".join(row.pop(part) for part in ("year", "month", "day"))
        expected.append(row)
    assert harness.in_order(harness.read_table(tmp_path / "dates")) == harness.in_order(expected)


def test_instance(source, table):
    """Leading zeros go; what is nothing but zeros becomes empty; null stays null."""
    given = {"000000490": "490", "000": "", "": "", "0x0": "x0", "490": "490", None: None, " 01": " 01"}
    harness.write(source / "a.json", harness.lines(harness.access_record(i, instance=v) for i, v in enumerate(given)))
    harness.run(harness.MAIN_JOB, source, table)
    rows = sorted(harness.read_table(table), key=lambda row: row["session_id"])
    assert [row["instance"] for row in rows] == list(given.values())


def test_null_method_or_url(source, table):
    harness.write(source / "a.json", harness.lines([
        harness.access_record(0, method=None), harness.access_record(1, requestURL=None), harness.access_record(2, requestURL="")]))
    harness.run(harness.MAIN_JOB, source, table)
    rows = sorted(harness.read_table(table), key=lambda row: row["session_id"])
    assert [row["normalized_method_signature"] for row in rows] == [None, None, "PUT INVALID URL"]


