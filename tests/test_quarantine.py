"""Bad records: what the quarantine holds, and the limit that stops a run. Replay is in test_quarantine_replay.py."""
import pytest

import harness

BAD = b'{"id":1,"t":}\n'


def mixed(good, bad):
    """good records with bad ones spread between them; each bad line is followed by a good record."""
    out = []
    step = max(1, good // max(1, bad))
    left = bad
    for i in range(good):
        if i % step == 0 and left:
            out.append(BAD)
            left -= 1
        out.append(harness.dump(harness.tiny(i)) + b"\n")
    assert not left
    return b"".join(out)


@pytest.mark.parametrize("good, bad, flags, status", [
    (500, 100, [], 0),                                  # 1 %, but at least 100
    (500, 101, [], 3),
    (11_000, 110, [], 0),                               # 110 of 11,110 is below 1 %
    (11_000, 112, [], 3),
    (500, 5, ["--max-quarantine", "5"], 0),
    (500, 6, ["--max-quarantine", "5"], 3),
    (500, 1, ["--max-quarantine", "0"], 3),
    (500, 0, ["--max-quarantine", "0"], 0),
    (190, 10, ["--max-quarantine", "5%"], 0),
    (189, 11, ["--max-quarantine", "5%"], 3),
    (10, 10, ["--max-quarantine", "100%"], 0),
    (999, 1, ["--max-quarantine", "0.1%"], 0),
])
def test_limit(good, bad, flags, status, source, table, tiny_job):
    harness.write_gz(source / "a.gz", mixed(good, bad))
    result = harness.run(tiny_job, source, table, *flags, status=status)
    if status == 3:
        assert harness.data_files(table) == [] if table.exists() else True
        assert harness.quarantine(table) == [] and harness.leftovers(table) == []
        assert "rejected" in result.err
    else:
        assert result.json["quarantined"] == bad == len(harness.quarantine(table))
        assert len(harness.read_table(table)) == good


def test_stopped_run_can_be_repeated_with_a_higher_limit(source, table, tiny_job):
    harness.write_gz(source / "a.gz", mixed(50, 10))
    harness.run(tiny_job, source, table, "--max-quarantine", "1", status=3)
    summary = harness.run(tiny_job, source, table, "--max-quarantine", "10").json
    assert summary["rows_written"] == 50 and summary["quarantined"] == 10
    assert len(harness.read_table(table)) == 50


@pytest.mark.parametrize("value", ["-1", "x", "101%", "5%%", "", "1e3"])
def test_wrong_limit(value, source, table, tiny_job):
    result = harness.run(tiny_job, source, table, f"--max-quarantine={value}", status=2)
    assert "max-quarantine" in result.err


def test_entry(source, table, tiny_job):
    """Where, what, why, and the bytes themselves."""
    first, bad = harness.dump(harness.tiny(1)) + b"\n", '{"id":2,"t":1710028800000,"s":"é"'.encode() + b",}"
    harness.write_gz(source / "day" / "a.gz", first + bad + b"\n" + harness.dump(harness.tiny(3)))
    harness.run(tiny_job, source, table)
    (entry,) = harness.quarantine(table)
    assert entry["object"] == "day/a.gz"
    assert entry["offset"] == len(first)
    assert entry["record"] == 1
    assert entry["reason"] == "not_json"
    assert entry["detail"]
    assert entry["encoding"] == "utf-8"
    assert entry["raw"].rstrip(b"\n") == bad
    assert entry["bytes"] == len(entry["raw"])


def test_bytes_that_are_not_text_are_kept(source, table, tiny_job):
    bad = b'{"id":2,"s":"\xff\x00\xfe'
    harness.write_gz(source / "a.gz", harness.dump(harness.tiny(1)) + b"\n" + bad + b"\n" + harness.dump(harness.tiny(3)))
    harness.run(tiny_job, source, table)
    (entry,) = harness.quarantine(table)
    assert entry["encoding"] == "base64" and entry["raw"].rstrip(b"\n") == bad


@pytest.mark.parametrize("document, reason, column", [
    (b'{"id":1}', "missing_required", "timestamp"),
    (b'{"id":1,"t":null}', "missing_required", "timestamp"),
    (b'{"id":1,"t":"soon"}', "missing_required", "timestamp"),
    (b'{"id":1,"t":[1]}', "missing_required", "timestamp"),
    (b'{"id":1,"t":true}', "missing_required", "timestamp"),
    (b'{}', "missing_required", "timestamp"),
    (b'{"id":1,"t":253402300800000}', "out_of_range", "timestamp"),
    (b'{"id":1,"t":-62135596800001}', "out_of_range", "timestamp"),
    (b'{"id":1,"t":1e30}', None, "timestamp"),
    (b'"text"', "not_an_object", None),
    (b'12', "not_an_object", None),
    (b'null', "not_an_object", None),
    (b'{"id":01,"t":1}', "not_json", None),
    (b"{'id':1}", "not_json", None),
    (b'{"id":1,}', "not_json", None),
    (b'{"id":NaN}', "not_json", None),
    (b'{"id":.5}', "not_json", None),
    (b'{"id":1.}', "not_json", None),
    (b'{"id":+1}', "not_json", None),
    (b'{"id" 1}', "not_json", None),
    (b'{"s":"\t"}', "not_json", None),
    (b'{"s":"\\x"}', "not_json", None),
    (b'{"s":"\\u12G4"}', "not_json", None),
    (b'{"s":tru}', "not_json", None),
    (b'{"a":1}}', None, None),
    (b'{"a":[1,2}', "not_json", None),
    (b'{"a":{"b":[]}', None, None),
])
def test_reasons(document, reason, column, source, table, tiny_job):
    """Each fault between two good records: both survive, one entry, the right reason."""
    data = harness.lines([harness.tiny(1)]) + document + b"\n" + harness.lines([harness.tiny(2)])
    harness.write(source / "a.json", data)
    summary = harness.run(tiny_job, source, table, "--max-quarantine", "100%").json
    harness.assert_balanced(summary)
    entries = harness.quarantine(table)
    assert entries, "nothing in quarantine"
    if reason:
        assert entries[0]["reason"] == reason, entries[0]
    if column:
        assert entries[0].get("column") == column
    ids = sorted(row["id"] for row in harness.read_table(table))
    # Document "{"a":1}}" is a good record followed by garbage; it has no timestamp and is rejected as well.
    assert ids == [1, 2], (ids, entries)


def test_edges_of_time(source, table, tiny_job):
    """The first and the last millisecond that a timestamp may have."""
    harness.write(source / "a.json", b'{"id":1,"t":-62135596800000}\n{"id":2,"t":253402300799999}\n{"id":3,"t":-1}\n{"id":4,"t":"0"}\n'
                  b'{"id":5,"t":1.5}\n{"id":6,"t":-0.5}\n{"id":7,"t":" 12 "}\n')
    harness.run(tiny_job, source, table)
    rows = {row["id"]: (row["timestamp"], row["day"]) for row in harness.read_table(table)}
    assert rows[1] == ("0001-01-01T00:00:00.000000Z", "0001-01-01")
    assert rows[2] == ("9999-12-31T23:59:59.999000Z", "9999-12-31")
    assert rows[3] == ("1969-12-31T23:59:59.999000Z", "1969-12-31")
    assert rows[4] == ("1970-01-01T00:00:00.000000Z", "1970-01-01")
    assert rows[7] == ("1970-01-01T00:00:00.012000Z", "1970-01-01")
    # Fractions of the unit are cut toward minus infinity.
    assert rows[5][0] == "1970-01-01T00:00:00.001000Z"
    assert rows[6][0] == "1969-12-31T23:59:59.999000Z"


@pytest.mark.parametrize("garbage", [b"garbage " + b"x" * 3_000_000, b'{"id":1,"s":"' + b"x" * 3_000_000], ids=["broken", "too-large"])
def test_rows_rejected_by_an_expression_before_a_long_span(garbage, source, table, tmp_path):
    """An expression judges a row only when the rows of its window are read, and a span behind it may be longer than the
    window: both entries stay whole."""
    job = harness.TINY_JOB.replace("format: json", "format: json, max_record: 1MiB")
    job += '  - {name: d, type: date, from: s, expr: "cast(s as date)", on_error: quarantine}\n'
    bad = harness.dump(harness.tiny(3, s="no date"))
    text = [harness.dump(harness.tiny(i, s="2024-03-10")) for i in range(3)] + [bad, garbage, harness.dump(harness.tiny(5))]
    harness.write(source / "a", b"\n".join(text))
    summary = harness.run(harness.write(tmp_path / "job.yaml", job.encode()), source, table, "--max-quarantine", "100%").json
    harness.assert_balanced(summary)
    first, second = harness.quarantine(table)
    assert (first["record"], first["reason"], first["column"], first["raw"]) == (3, "expression_failed", "d", bad)
    assert (second["record"], second["offset"], second["raw"]) == (4, len(b"\n".join(text[:4])) + 1, garbage)
    assert sorted(row["id"] for row in harness.read_table(table)) == [0, 1, 2, 5]
